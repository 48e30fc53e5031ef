"""Work in steps: all at once for scripts, and what a driver does with each step."""

from __future__ import annotations

import pytest

from deeprecon.steps import Apart, Steps, answer, finish, in_steps, steps_of


@in_steps
def doubled(values: list[int]) -> Steps[int]:
    """Adds up the doubles, which are computed apart."""
    total = 0
    for value in values:
        yield f"Adding {value}"
        total += yield Apart("Doubling", lambda value=value: 2 * value)
    return total


def divided(by: int) -> Steps[str]:
    try:
        yield Apart("Dividing", lambda: 1 // by)
    except ZeroDivisionError:
        return "not divided"
    return "divided"


def test_a_function_in_steps_does_all_when_it_is_called() -> None:
    assert doubled([1, 2, 3]) == 12
    assert doubled.__name__ == "doubled"
    assert "doubles" in (doubled.__doc__ or "")


def test_its_steps_have_texts_and_come_one_by_one() -> None:
    steps = doubled.steps([5])
    assert next(steps) == "Adding 5"
    apart = next(steps)
    assert isinstance(apart, Apart)
    assert apart.text == "Doubling"
    with pytest.raises(StopIteration) as end:
        answer(steps, apart)()
    assert end.value.value == 10


def test_an_exception_apart_reaches_the_work_that_asked_for_it() -> None:
    assert finish(divided(0)) == "not divided"
    assert finish(divided(1)) == "divided"


def test_a_function_without_steps_gives_its_result() -> None:
    assert finish(steps_of(lambda value: value + 1, 2)) == 3
    assert finish(steps_of(divided, 1)) == "divided"
