"""Work in steps in the panels: the application responds between steps, and a thread does what is apart."""

from __future__ import annotations

import threading
from typing import Any

from deeprecon.steps import Apart, Steps


def work(log: list[Any], let: threading.Event, fails: bool = False) -> Steps[str]:
    yield "First"
    log.append(threading.current_thread() is threading.main_thread())

    def apart() -> int:
        log.append(threading.current_thread() is threading.main_thread())
        let.wait(60)
        if fails:
            raise OSError("no disk")
        return 7

    try:
        log.append((yield Apart("Second", apart)))
    except GeneratorExit:
        log.append("closed")
        raise
    return "done"


def test_steps_come_with_their_texts_and_the_application_responds_while_a_thread_works(host: Any) -> None:
    import qt

    from deeprecon.panels.screen.stepper import Stepper

    shown: list[str] = []
    log: list[Any] = []
    results: list[Any] = []
    let = threading.Event()
    stepper = Stepper(shown.append)
    stepper.start(work(log, let), results.append, results.append)
    assert shown == ["First"], "the first text is there at once, before anything long begins"
    host.waitFor(lambda: len(log) == 2, 60)
    ticks: list[int] = []
    timer = qt.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", lambda: ticks.append(1))
    timer.start()
    host.waitFor(lambda: len(ticks) > 5, 60)
    assert stepper.busy
    assert results == []
    let.set()
    host.waitFor(lambda: not stepper.busy, 60)
    timer.stop()
    assert shown == ["First", "Second"]
    assert log == [True, False, 7]
    assert results == ["done"]


def test_an_exception_of_the_thread_is_reported(host: Any) -> None:
    from deeprecon.panels.screen.stepper import Stepper

    let = threading.Event()
    let.set()
    failures: list[Exception] = []
    stepper = Stepper(lambda text: None)
    stepper.start(work([], let, fails=True), failures.append, failures.append)
    host.waitFor(lambda: not stepper.busy, 60)
    assert [str(each) for each in failures] == ["no disk"]


def test_work_that_is_stopped_tidies_up_and_reports_nothing(host: Any) -> None:
    from deeprecon.panels.screen.stepper import Stepper

    log: list[Any] = []
    results: list[Any] = []
    let = threading.Event()
    stepper = Stepper(lambda text: None)
    stepper.start(work(log, let), results.append, results.append)
    host.waitFor(lambda: len(log) == 2, 60)
    stepper.stop()
    let.set()
    host.process(0.1)
    assert log == [True, False, "closed"]
    assert results == []
    assert not stepper.busy
