"""The run panel: start, progress, time left, curves, log, cancel, and error messages."""

from __future__ import annotations

import enum
import html
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from deeprecon.data.errors import InputError
from deeprecon.jobs.job import Job
from deeprecon.jobs.runner import JobRunner
from deeprecon.panels.common.plot_views import CurveView
from deeprecon.panels.common.run_callbacks import RunCallbacks, SecondaryRun
from deeprecon.panels.common.time_estimates import durationText
from deeprecon.panels.computer.device_panel import DevicePanel, userCommand, userEnvironment
from deeprecon.panels.computer.diagnostics import diagnosticReport
from deeprecon.panels.screen.panel_words import panelWords
from deeprecon.panels.screen.status_colors import BAD, statusColor
from deeprecon.panels.screen.stepper import Stepper
from deeprecon.resources import resource_path
from deeprecon.steps import Steps, steps_of

POLL_MS = 100
EVENTS_PER_TICK = 1000
LOG_LINES = 5000


class RunState(enum.Enum):
    """State of the panel. It is not saved in the scene, because a scene cannot restore a run."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"


class RunPanel:
    """Runs one job at a time in a child process; the application stays responsive.

    Args:
        layout: where the panel is put.
        callbacks: of the module.
        devicePanel: has the overlay, and checks the computer before the first run.
        title: of the training curves.

    Attributes:
        folder: of the job, from when the module makes it.
        fileNames: name of a file in the job folder -> name of the node it was made from, for messages.
        shortened: whether the user ended the last run early, so that its duration says nothing about the next one.
    """

    def __init__(self, layout: Any, callbacks: RunCallbacks, devicePanel: DevicePanel, title: str) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "RunPanel.ui")))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self.curves = CurveView(self.ui.curvesCollapsibleButton.layout(), title)
        self.state = RunState.IDLE
        self.runner: JobRunner | None = None
        self.folder: Path | None = None
        self.warnings: list[str] = []
        self.error = ""
        self._refused: tuple[str, ...] = ()
        self._accepted: tuple[str, ...] = ()
        self.logLines: deque[str] = deque(maxlen=LOG_LINES)
        self._newLines: list[str] = []
        self.fileNames: dict[str, str] = {}
        self._callbacks = callbacks
        self._current: RunCallbacks | SecondaryRun = callbacks
        self._device = devicePanel
        self._ready = False
        self._problem = ""
        self._estimate = ""
        self.shortened = False
        self._started = 0.0
        self._secondsLeft: tuple[float, float] | None = None
        self._stepper = Stepper(self._showStage)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._onTimer)
        self.ui.applyButton.connect("clicked(bool)", self._onApply)
        self.ui.secondaryButton.connect("clicked(bool)", self._onSecondary)
        self.ui.finishButton.connect("clicked(bool)", self.finishNow)
        self.ui.acceptButton.connect("clicked(bool)", self._onAccept)
        self.ui.repeatButton.connect("clicked(bool)", self._onRepeat)
        self.ui.copyReportButton.connect("clicked(bool)", self._onCopyReport)
        slicer.app.connect("aboutToQuit()", self._onQuit)
        self.ui.repeatButton.visible = callbacks.repeat is not None
        self.ui.secondaryButton.visible = callbacks.secondary is not None
        self.ui.secondaryButton.text = callbacks.secondary.text if callbacks.secondary else ""
        self._show()

    @property
    def busy(self) -> bool:
        """True while a job is prepared, runs, or is being cancelled, and while its result is loaded."""
        return self.state in (RunState.RUNNING, RunState.CANCELLING, RunState.LOADING)

    @property
    def seconds(self) -> float:
        """Since the last start of a job; the check of the computer before it does not count."""
        return time.monotonic() - self._started

    def cleanup(self) -> None:
        """End all processes and disconnect from the application. To be called from the module's cleanup."""
        self._onQuit()
        slicer.app.disconnect("aboutToQuit()", self._onQuit)

    def setReady(self, ready: bool, problem: str = "") -> None:
        """Enable Apply, or say what to do first."""
        self._ready, self._problem = ready, problem
        self._show()

    def setEstimate(self, text: str) -> None:
        """Set the estimated duration of a run, shown while one can start."""
        self._estimate = text

    # -- starting and ending

    def apply(self) -> None:
        """Start a run: check the computer the first time, write the job folder, start the child process."""
        self.start(self._callbacks)

    def start(self, kind: RunCallbacks | SecondaryRun, accepted: tuple[str, ...] = ()) -> None:
        """Start a run of this kind, if it can start; it may be one without a button.

        Args:
            kind: of the run.
            accepted: codes of contradictions that the user accepts, see `deeprecon.data.doubts`.
        """
        if self.busy or self._startProblem(kind):
            return
        self._current, self._accepted, self._refused = kind, accepted, ()
        self.warnings, self.error, self.folder, self.runner = [], "", None, None
        self.logLines.clear()
        self.ui.logText.clear()
        self.curves.clear()
        self._started, self._secondsLeft, self.shortened = time.monotonic(), None, False
        self.ui.progressBar.value = 0
        self.ui.stageLabel.text = _("Checking this computer…")
        self.ui.messageLabel.text = ""
        self._setState(RunState.RUNNING)
        self._device.ensureChecked(self._launch)

    def _startProblem(self, kind: RunCallbacks | SecondaryRun) -> str:
        if isinstance(kind, SecondaryRun) and kind.problem is not None:
            return kind.problem()
        return "" if self._ready else self._problem or _("Not ready.")

    def _launch(self, problem: str) -> None:
        if self.state is RunState.CANCELLING:  # while the computer was being checked
            self._finish(_("Cancelled. Nothing was changed."), RunState.IDLE)
            return
        if self.state is not RunState.RUNNING or self.runner is not None:
            return
        if problem:
            self._fail(problem, "")
            self._device.reveal()
            return
        self._started = time.monotonic()
        self.ui.stageLabel.text = _("Preparing the data…")
        self._stepper.start(self._preparing(), self._onPrepared, self._onNotPrepared)

    def _preparing(self) -> Steps[JobRunner]:
        self.folder = yield from steps_of(self._current.prepare)
        assert self.folder is not None
        if self._accepted:
            replace(Job.load(self.folder), accept=list(self._accepted)).save(self.folder)
        runner = JobRunner(self.folder, userCommand(), userEnvironment(self._device.overlay))
        runner.start()
        return runner

    def _onPrepared(self, runner: JobRunner) -> None:
        self.runner = runner
        self._timer.start()

    def _onNotPrepared(self, error: Exception) -> None:
        self._onError(error, _("The data could not be prepared: {error}"))

    def _onError(self, error: Exception, text: str) -> None:
        if isinstance(error, InputError):
            self._fail(error.message, error.hint)
            return
        self._fail(text.format(error=error), _("Copy the report and ask the developers."))
        raise error

    def cancel(self) -> None:
        """Stop the job gracefully, and kill it if it does not stop within seconds."""
        if self.state is not RunState.RUNNING:
            return
        self._setState(RunState.CANCELLING)
        self.ui.stageLabel.text = _("Cancelling…")
        if self.runner is not None:
            self.runner.cancel()
        elif self._stepper.busy:
            self._stepper.stop()
            self._finish(_("Cancelled. Nothing was changed."), RunState.IDLE)

    def finishNow(self) -> None:
        """Ask the job to finish early; its best result so far is loaded."""
        if self.state is RunState.RUNNING and self.runner is not None:
            self.runner.stop()
            self.shortened = True
            self.ui.stageLabel.text = _("Finishing with the best result so far…")
            self.ui.finishButton.enabled = False

    def abort(self) -> None:
        """End the job at once, with all processes it started: the scene, the module or the application closes.

        An installation of packages continues.
        """
        self._timer.stop()
        self._stepper.stop()
        if self.runner is not None and self.runner.running:
            self.runner.kill()
        self.runner = None
        self.curves.clear()
        if self.busy:
            self._finish(_("The run was ended because the scene or the module was closed."), RunState.IDLE)

    def _onQuit(self) -> None:
        self.abort()
        self._device.abort()

    def _onTimer(self) -> None:
        runner = self.runner
        if runner is None:
            self._timer.stop()
            return
        for event in runner.poll(EVENTS_PER_TICK):
            self._onEvent(event)
        self._showTime()
        self._showLog()
        if not runner.running:
            self._timer.stop()
            self._onEnded(runner)

    def _onEnded(self, runner: JobRunner) -> None:
        for event in runner.poll():
            self._onEvent(event)
        failure = runner.failure()
        if failure is None and self.folder is not None:
            if self.state is RunState.CANCELLING:
                self._finish(_("Cancelled. Nothing was changed."), RunState.IDLE)
                return
            self._setState(RunState.LOADING)
            self._showStage(_("Loading the result…"))
            self._stepper.start(steps_of(self._current.load, runner.result_folder), self._onLoaded, self._onNotLoaded)
        elif failure is not None and failure.get("kind") == "cancelled":
            self._finish(_("Cancelled. Nothing was changed."), RunState.IDLE)
        elif failure is not None:
            self._refused = tuple(failure["codes"])
            self._fail(failure["message"], failure["hint"])

    def _onLoaded(self, text: str) -> None:
        took = _("Took {time}.").format(time=durationText(self.seconds))
        self._finish(f"{text} {took}".strip(), RunState.DONE)

    def _onNotLoaded(self, error: Exception) -> None:
        self._onError(error, _("The result could not be loaded: {error}"))

    def _fail(self, message: str, hint: str) -> None:
        self._timer.stop()
        message, hint = self.words(message), self.words(hint)
        self.error = f"{message} {hint}".strip()
        self.ui.messageLabel.text = f"<b>{html.escape(message)}</b> {html.escape(hint)}"
        self.log(f"Error: {self.error}")
        self._setState(RunState.FAILED)

    def _finish(self, text: str, state: RunState) -> None:
        self.ui.messageLabel.text = html.escape(text, quote=False)
        self._setState(state)

    # -- events of the child process

    def _onEvent(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "progress":
            self.ui.progressBar.value = round(1000 * float(event.get("fraction") or 0))
            left = event.get("seconds_left")
            self._secondsLeft = None if left is None else (float(left), time.monotonic())
        elif kind == "status":
            text = str(event.get("text") or event.get("message") or "")
            if self.state is RunState.RUNNING and self.ui.finishButton.enabled:
                self.ui.stageLabel.text = text
            self.log(text)
        elif kind == "metric":
            if self.curves.add(event):
                self.ui.curvesCollapsibleButton.collapsed = False
        elif kind == "warning":
            self.warnings.append(self.words(str(event.get("message") or "")))
            self.log(f"Warning: {self.warnings[-1]}")
            self._showWarnings()
        elif kind == "log":
            self.log(str(event.get("text") or ""))

    def words(self, text: str) -> str:
        """A message of the job in the words of the panel."""
        return panelWords(text, self._callbacks.controls, self.fileNames, self.folder)

    def log(self, text: str) -> None:
        """Add a line to the log; it is shown with the next tick."""
        self.logLines.append(text)
        self._newLines.append(text)

    def _showLog(self) -> None:
        if self._newLines:
            self.ui.logText.appendPlainText("\n".join(self._newLines))
            self._newLines = []

    # -- display

    def _setState(self, state: RunState) -> None:
        self.state = state
        self._show()
        self._callbacks.changed()

    def _show(self) -> None:
        ui = self.ui
        texts = {RunState.RUNNING: _("Cancel"), RunState.CANCELLING: _("Cancelling…"), RunState.LOADING: _("Loading…")}
        ui.applyButton.text = texts.get(self.state, self._callbacks.text)
        ui.applyButton.enabled = self.state is RunState.RUNNING or (self._ready and not self.busy)
        ui.applyButton.toolTip = (
            _("Stop the run; nothing is changed.") if self.busy else self._problem or _("Start the run.")
        )
        if secondary := self._callbacks.secondary:
            problem = self._startProblem(secondary)
            ui.secondaryButton.enabled = not problem and not self.busy
            ui.secondaryButton.toolTip = problem or secondary.toolTip
        ui.runningFrame.visible = self.busy
        ui.estimateLabel.text = self._nextStep()
        ui.estimateLabel.visible = not self.busy and bool(ui.estimateLabel.text)
        ui.finishButton.enabled = self.state is RunState.RUNNING
        ui.repeatButton.enabled = not self.busy
        ui.messageLabel.visible = bool(ui.messageLabel.text)
        ui.acceptButton.visible = self.state is RunState.FAILED and bool(self._refused)
        ui.acceptButton.enabled = self._ready
        failed = self.state is RunState.FAILED
        ui.messageLabel.styleSheet = f"color: {statusColor(self.widget, BAD)};" if failed else ""
        self._showWarnings()
        self._showTime()
        self._showLog()

    def _nextStep(self) -> str:
        """What to do next, until the first result; then how long a run takes."""
        if not self._ready:
            return str(_("Next: {step}").format(step=self._problem or _("Not ready.")))
        if self.state is RunState.FAILED:
            return ""  # the message says it
        start: str = _("Next: Press {button}.").format(button=self._callbacks.text)
        return self._estimate if self.state is RunState.DONE else f"{start} {self._estimate}".strip()

    def _showWarnings(self) -> None:
        self.ui.warningsLabel.text = "".join(f"<p>⚠ {html.escape(text)}</p>" for text in self.warnings)
        self.ui.warningsLabel.visible = bool(self.warnings)

    def _showStage(self, text: str) -> None:
        self.ui.stageLabel.text = text

    def _showTime(self) -> None:
        if self._secondsLeft is None:
            self.ui.timeLabel.text = ""
            return
        seconds, when = self._secondsLeft
        self.ui.timeLabel.text = _("{time} left").format(
            time=durationText(max(0.0, seconds - (time.monotonic() - when)))
        )

    # -- buttons

    def _onApply(self) -> None:
        if self.busy:
            self.cancel()
        else:
            self.apply()

    def _onAccept(self) -> None:
        self.start(self._current, tuple(sorted({*self._accepted, *self._refused})))

    def _onSecondary(self) -> None:
        if self._callbacks.secondary is not None:
            self.start(self._callbacks.secondary)

    def _onRepeat(self) -> None:
        if self._callbacks.repeat is None:
            return
        try:
            self._callbacks.repeat()
        except InputError as error:
            self.ui.messageLabel.text = f"<b>{html.escape(error.message)}</b> {html.escape(error.hint)}"
            self._show()

    def _onCopyReport(self) -> None:
        qt.QApplication.clipboard().setText(self.report())

    def report(self) -> str:
        """Diagnostic report of the last run."""
        return diagnosticReport(self._device.torch, self._device.probe, self.logLines, self.error)
