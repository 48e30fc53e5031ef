"""Work in steps (`deeprecon.steps`), driven by a timer: one step a tick, so that the application responds."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

import qt
import slicer
import slicer.util

from deeprecon.steps import Apart, Steps, answer

TICK_MS = 10
"""Long enough for the application to draw the text of a step before it begins."""

GIVE_WAY = 0.001
"""Seconds a tick, in which a thread may take Python's lock; compiled code such as zlib works without it."""


class Stepper:
    """Does one piece of work at a time.

    Args:
        show: gets the text of each step before it begins.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._steps: Steps[Any] | None = None
        self._move: Callable[[], str | Apart] | None = None
        self._done: Callable[[Any], None] = lambda result: None
        self._failed: Callable[[Exception], None] = lambda error: None
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", self._onTimer)

    @property
    def busy(self) -> bool:
        """Whether there is something left to do."""
        return self._steps is not None

    def start(self, steps: Steps[Any], done: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        """Begin now, up to the first text.

        Args:
            steps: the work; what was begun before is left.
            done: called with the result.
            failed: called with the exception that ended the work.
        """
        self.stop()
        self._steps, self._done, self._failed = steps, done, failed
        self._move = lambda: next(steps)
        self._timer.start()
        self._onTimer()

    def stop(self) -> None:
        """Leave the work where it is; the generator is closed and may tidy up."""
        self._timer.stop()
        steps, self._steps, self._move = self._steps, None, None
        if steps is not None and inspect.getgeneratorstate(steps) != inspect.GEN_RUNNING:
            steps.close()

    def _onTimer(self) -> None:
        steps, move = self._steps, self._move
        if steps is None or slicer.mrmlScene.IsImporting():
            return
        if move is None:  # a thread works; Slicer's event loop itself never gives up Python's lock
            time.sleep(GIVE_WAY)
            return
        self._move = None
        try:
            step = move()
        except StopIteration as end:
            self._end()
            self._done(end.value)
            return
        except Exception as error:
            self._end()
            self._failed(error)
            return
        if self._steps is not steps:  # stopped by what the step did
            steps.close()
            return
        self._show(step.text if isinstance(step, Apart) else step)
        if isinstance(step, Apart):
            threading.Thread(target=self._workApart, args=(steps, step), name="step", daemon=True).start()
        else:
            self._move = lambda: next(steps)

    def _end(self) -> None:
        self._timer.stop()
        self._steps, self._move = None, None

    def _workApart(self, steps: Steps[Any], step: Apart) -> None:
        """Thread: neither Qt nor the scene is touched."""
        move = answer(steps, step)
        if self._steps is steps:
            self._move = move


class ButtonWork:
    """Work in steps that a button starts; meanwhile the button says how it goes on and cannot be pressed.

    Args:
        button: QPushButton.
        failure: shown where the work fails, with the reason.
    """

    def __init__(self, button: Any, failure: str) -> None:
        self._button, self._failure, self._text = button, failure, button.text
        self._stepper = Stepper(self._show)
        self._done: Callable[[Any], None] = lambda result: None

    def start(self, steps: Steps[Any], done: Callable[[Any], None]) -> None:
        """Do the work, and call `done` with its result; not while it is being done."""
        if not self._stepper.busy:
            self._text, self._done = self._button.text, done
            self._button.enabled = False
            self._stepper.start(steps, self._onDone, self._onFailed)

    def stop(self) -> None:
        """Leave the work where it is, because the scene or the module closes."""
        if self._stepper.busy:
            self._stepper.stop()
            self._restore()

    def _show(self, text: str) -> None:
        self._button.text = text

    def _restore(self) -> None:
        self._button.text, self._button.enabled = self._text, True

    def _onDone(self, result: Any) -> None:
        self._restore()
        with slicer.util.tryWithErrorDisplay(self._failure):
            self._done(result)

    def _onFailed(self, error: Exception) -> None:
        self._restore()
        with slicer.util.tryWithErrorDisplay(self._failure):
            raise error
