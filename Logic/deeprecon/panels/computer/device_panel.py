"""The device panel: device, packages, and each problem with the action that solves it."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import qt
import slicer
from slicer.i18n import tr as _

from deeprecon.data.errors import InputError
from deeprecon.jobs.process import child_environment, python_command
from deeprecon.jobs.runner import ProcessRunner
from deeprecon.panels.computer.device_text import deviceChoices, deviceProblems, deviceStatus, memoryText
from deeprecon.panels.computer.diagnostics import diagnosticReport
from deeprecon.panels.computer.installation import Problem, installTorch, problems, torchVersion
from deeprecon.panels.computer.overlay import Overlay, default_folder
from deeprecon.resources import resource_path

DEVICE_SETTING = "DeepRecon/Device"
OVERLAY_SETTING = "DeepRecon/PackagesFolder"
INTERPRETER_SETTING = "DeepRecon/Interpreter"
AUTOMATIC = "auto"


def userOverlay() -> Overlay:
    """The overlay below the folder that the user set, else in the default one.

    It has a subfolder of its own there, because removing packages deletes the folder.
    """
    folder = slicer.util.settingsValue(OVERLAY_SETTING, "")
    return Overlay(Path(folder) / "DeepRecon" / default_folder().name if folder else None)


def userInterpreter() -> str:
    """The Python interpreter that the user set, empty for the default one."""
    return str(slicer.util.settingsValue(INTERPRETER_SETTING, ""))


def userCommand() -> list[str]:
    """The command that runs the worker, with the Python interpreter that the user set, else the default one.

    Raises:
        InputError: no interpreter was found.
    """
    return python_command(userInterpreter() or None)


def userEnvironment(overlay: Overlay) -> dict[str, str]:
    """The environment of the worker.

    A Python that the user set has packages of its own, and cannot start with the variables of Slicer's (PYTHONHOME,
    PYTHONPATH, LD_LIBRARY_PATH): it gets the environment in which Slicer was started.
    """
    if userInterpreter():
        return child_environment(environment=slicer.util.startupEnvironment())
    return child_environment(overlay.folder)


class DevicePanel:
    """Shows and selects the device. The computer is checked when the user asks for it or the first run starts.

    Args:
        layout: where the panel is put.
        changed: called after a check, an installation or a removal.
        section: collapsible section of the panel, opened where the user has to act; None if there is none.
    """

    probed: ClassVar[dict[str, Any] | None] = None
    """Result of the last check of this computer, shared by all modules of this session."""

    def __init__(self, layout: Any, changed: Callable[[], None], section: Any = None) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "DevicePanel.ui")))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self.overlay = userOverlay()
        self.error = ""
        self._changed = changed
        self._section = section
        self._runner: ProcessRunner | None = None
        self._onEnded: Callable[[ProcessRunner, list[str]], None] | None = None
        self._lines: list[str] = []
        self._waiting: list[Callable[[str], None]] = []
        self._actions: list[Problem] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(100)
        self._timer.connect("timeout()", self._onTimer)
        self._problemButtons: list[Any] = []
        self.ui.checkButton.connect("clicked(bool)", self._onCheck)
        self.ui.copyReportButton.connect("clicked(bool)", self._onCopyReport)
        self.ui.installButton.connect("clicked(bool)", self._onInstall)
        self.ui.uninstallButton.connect("clicked(bool)", self._onUninstall)
        self.ui.importButton.connect("clicked(bool)", self._onImport)
        self.ui.exportButton.connect("clicked(bool)", self._onExport)
        self.ui.deviceCombo.connect("currentIndexChanged(int)", self._onDevice)
        self.ui.packagesFolderEdit.currentPath = slicer.util.settingsValue(OVERLAY_SETTING, "")
        self.ui.interpreterEdit.currentPath = userInterpreter()
        for edit in (self.ui.packagesFolderEdit, self.ui.interpreterEdit):
            edit.connect("currentPathChanged(QString)", self._onPlaces)
            edit.connect("validInputChanged(bool)", self._onPlaces)  # an emptied field has no path that changed
        self.show()

    @property
    def torch(self) -> str | None:
        """Version of PyTorch that a run would use; for a Python of the user, known only after a check."""
        if userInterpreter():
            return str(self.probe["torch"]["version"]) if self.probe and self.probe["torch"] else None
        return torchVersion(self.overlay.folder)

    @property
    def probe(self) -> dict[str, Any] | None:
        """Result of the last check, None before it."""
        return DevicePanel.probed

    @property
    def device(self) -> str:
        """The device the user chose: "auto", "cpu", "cuda:0", ..."""
        return str(slicer.util.settingsValue(DEVICE_SETTING, AUTOMATIC))

    @property
    def working(self) -> bool:
        """True while a check or an installation runs."""
        return self._runner is not None

    def reveal(self) -> None:
        """Open the section of the panel."""
        if self._section is not None:
            self._section.collapsed = False

    # -- checking

    def ensureChecked(self, then: Callable[[str], None]) -> None:
        """Check this computer unless that was done, then call `then` with the problem, or with ""."""
        found = self._missing()
        if found:
            self.show()
            step = _("Press “{button}” under Device.").format(button=found[0].action)
            then(f"{found[0].text} {step}")
        elif self.working and self._onEnded == self._onInstalled:
            then("The packages are being installed. Apply again when that is done.")
        elif self.probe is not None:
            then("")
        else:
            self._waiting.append(then)
            self.check()

    def check(self) -> None:
        """Ask a child process about graphics card and memory, with a tiny computation."""
        if self.working:
            return
        self.ui.statusLabel.text = "Checking this computer…"
        try:
            runner = ProcessRunner([*userCommand(), "--probe"], userEnvironment(self.overlay))
            runner.start()
        except InputError as error:
            self.error = str(error)
            self._notifyWaiting()
            return
        self._watch(runner, self._onProbed)

    def _onProbed(self, runner: ProcessRunner, lines: list[str]) -> None:
        self.error, DevicePanel.probed = "", None
        for line in reversed(lines):
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if isinstance(values, dict):
                DevicePanel.probed = values
                break
        if runner.exit_code != 0 or self.probe is None:
            last = next((line for line in reversed(lines) if line.strip()), "no answer")
            self.error = f"The check of this computer failed: {last}"
        self._notifyWaiting()

    def _notifyWaiting(self) -> None:
        self.show()
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then(self.error)

    # -- child processes of the panel

    def _watch(self, runner: ProcessRunner, ended: Callable[[ProcessRunner, list[str]], None]) -> None:
        self._runner, self._onEnded, self._lines = runner, ended, []
        self._timer.start()
        self.show()

    def _onTimer(self) -> None:
        runner = self._runner
        if runner is None:
            return
        for event in runner.poll():
            line = str(event.get("text") or "") if event.get("type") == "log" else json.dumps(event, ensure_ascii=False)
            self._lines.append(line)
            if event.get("type") == "log":
                self.ui.installLog.appendPlainText(line)
        if runner.running:
            return
        self._timer.stop()
        self._runner = None
        if self._onEnded is not None:
            self._onEnded(runner, self._lines)
        self._changed()

    def abort(self) -> None:
        """End a check or an installation at once."""
        self._timer.stop()
        if self._runner is not None:
            self._runner.kill()
        self._runner = None
        self._waiting = []
        self.show()

    # -- installing

    def _onInstallTorch(self) -> None:
        question = "PyTorch will be downloaded and installed (up to 3 GB). This takes several minutes. Continue?"
        if slicer.util.confirmOkCancelDisplay(question, windowTitle="Install PyTorch"):
            self._attempt(installTorch, "Installing PyTorch. The application answers again when it is done.")

    def _onInstall(self) -> None:
        if self.working:  # the button reads "Cancel" then
            runner = self._runner
            if runner is not None:
                runner.kill()
            return
        self.ui.installLog.clear()
        self.ui.packagesCollapsibleButton.collapsed = False
        try:
            self._watch(self.overlay.start_install(), self._onInstalled)
        except InputError as error:
            self.error = str(error)
            self.show()

    def _onInstalled(self, runner: ProcessRunner, _lines: list[str]) -> None:
        self._attempt(lambda: self.overlay.finish_install(runner), "")

    def _onUninstall(self) -> None:
        self._attempt(self.overlay.uninstall, "")

    def _onImport(self) -> None:
        self._attempt(lambda: self.overlay.import_from(self._packagesFile()), "Importing packages…")

    def _onExport(self) -> None:
        self._attempt(lambda: self.overlay.export(self._packagesFile()), "Exporting packages…")

    def _packagesFile(self) -> Path:
        path = self.ui.packagesPathEdit.currentPath
        if not path:
            raise InputError("No package file is chosen.", "Choose one above the button.")
        return Path(path)

    def _attempt(self, action: Callable[[], None], status: str) -> None:
        self.error = ""
        DevicePanel.probed = None
        self.ui.statusLabel.text = status
        try:
            with slicer.util.WaitCursor():
                action()
        except InputError as error:
            self.error = str(error)
        self.show()
        self._changed()

    def _missing(self) -> list[Problem]:
        """Missing installations; a Python that the user chose has to have PyTorch and all packages."""
        return [] if userInterpreter() else problems(self.overlay, self._onInstallTorch, self._onInstall)

    def _onPlaces(self, _value: Any) -> None:
        qt.QSettings().setValue(OVERLAY_SETTING, self.ui.packagesFolderEdit.currentPath)
        qt.QSettings().setValue(INTERPRETER_SETTING, self.ui.interpreterEdit.currentPath)
        self.overlay, self.error, DevicePanel.probed = userOverlay(), "", None
        self.show()
        self._changed()

    # -- showing

    def show(self) -> None:
        """Update the panel."""
        ui = self.ui
        self._actions = [*self._missing(), *deviceProblems(self.probe)]
        self._showProblems()
        ui.checkButton.enabled = not self.working
        if not self.working:
            ui.statusLabel.text = self.error or self._status()
        missing, folder = self.overlay.missing(), self.overlay.folder
        where = f"installed in {folder}" if folder.exists() else "part of this Python"
        ui.packagesLabel.text = f"Missing: {', '.join(missing)}." if missing else f"All packages are {where}."
        ui.installButton.text = "Cancel" if self.working else "Install packages"
        ui.uninstallButton.enabled = ui.exportButton.enabled = folder.exists() and not self.working
        ui.importButton.enabled = ui.packagesFolderEdit.enabled = ui.interpreterEdit.enabled = not self.working
        ui.memoryLabel.text = memoryText(self.probe)
        ui.memoryLabel.visible = bool(ui.memoryLabel.text)
        self._showDevices()

    def _status(self) -> str:
        if userInterpreter() and self.probe is None:
            return "The chosen Python has not been checked yet."
        return deviceStatus(self.probe, self.torch)

    def _showProblems(self) -> None:
        layout = self.ui.problemsFrame.layout()
        for widget in self._problemButtons:
            layout.removeWidget(widget)
            widget.deleteLater()
        self._problemButtons = []
        for index, problem in enumerate(self._actions):
            label = qt.QLabel(
                f"⚠ {html.escape(problem.text)}" + ("" if problem.run else f" <b>{html.escape(problem.action)}</b>")
            )
            label.textFormat = qt.Qt.RichText
            label.wordWrap = True
            layout.addWidget(label)
            self._problemButtons.append(label)
            if problem.run:
                button = qt.QPushButton(problem.action)
                button.objectName = f"problemButton{index}"
                button.toolTip = button.accessibleName = problem.action
                button.enabled = not self.working
                button.connect("clicked()", problem.run)
                layout.addWidget(button)
                self._problemButtons.append(button)
        self.ui.problemsFrame.visible = bool(self._actions)

    def _showDevices(self) -> None:
        combo = self.ui.deviceCombo
        wasBlocked = combo.blockSignals(True)
        combo.clear()
        combo.addItem("Automatic", AUTOMATIC)
        for name, text in deviceChoices(self.probe):
            combo.addItem(text, name)
        chosen = combo.findData(self.device)
        if chosen < 0:  # chosen earlier, not checked in this session yet
            combo.addItem(self.device, self.device)
            chosen = combo.count - 1
        combo.currentIndex = chosen
        combo.blockSignals(wasBlocked)

    # -- buttons

    def _onDevice(self, index: int) -> None:
        qt.QSettings().setValue(DEVICE_SETTING, self.ui.deviceCombo.itemData(index))
        self._changed()

    def _onCheck(self) -> None:
        self.check()

    def _onCopyReport(self) -> None:
        qt.QApplication.clipboard().setText(diagnosticReport(self.torch, self.probe, self._lines, self.error))
