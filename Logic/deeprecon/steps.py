"""Work in steps, so that an application stays responsive between them.

Such work is a generator. It yields, before each step of its own, the text to show meanwhile, or an `Apart`: a function
that a thread computes, whose value or exception the yield gives back. What it returns is its result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Apart:
    """Work on arrays, files and VTK objects of its own, without Qt and the scene, which a thread may do.

    Attributes:
        text: what to show meanwhile.
        work: does it.
    """

    text: str
    work: Callable[[], Any]


Steps = Generator[str | Apart, Any, T]


class InSteps(Generic[P, T]):
    """A function made from a generator function: called, it does all steps at once; `steps` gives the generator."""

    def __init__(self, function: Callable[P, Steps[T]]) -> None:
        self.steps = function
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return finish(self.steps(*args, **kwargs))


def in_steps(function: Callable[P, Steps[T]]) -> InSteps[P, T]:
    """Decorator of a generator function, see `InSteps`."""
    return InSteps(function)


def finish(steps: Steps[T]) -> T:
    """Do all steps at once, for scripts; returns the result."""
    move: Callable[[], str | Apart] = lambda: next(steps)  # noqa: E731
    while True:
        try:
            step = move()
        except StopIteration as end:
            result: T = end.value
            return result
        move = answer(steps, step)


def answer(steps: Steps[T], step: str | Apart) -> Callable[[], str | Apart]:
    """Do what a step asks for; returns how to go on with the generator."""
    if not isinstance(step, Apart):
        return lambda: next(steps)
    try:
        value = step.work()
    except Exception as error:
        failure = error
        return lambda: steps.throw(failure)
    return lambda: steps.send(value)


def steps_of(function: Callable[..., Any], *arguments: Any) -> Steps[Any]:
    """The steps of a function that may have some; of one that has none, only its result."""
    result = function(*arguments)
    if inspect.isgenerator(result):
        return (yield from result)
    return result
