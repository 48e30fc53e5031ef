"""The device panel: device, problems with their action, packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import PROBE
from .test_overlay import NAME, install, overlay, wheels  # noqa: F401  fixtures


@pytest.fixture
def device(host: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import qt

    from deeprecon.panels.computer.device_panel import DevicePanel

    monkeypatch.setattr(DevicePanel, "probed", None)
    window = qt.QWidget()
    window.setLayout(qt.QVBoxLayout())
    changes: list[int] = []
    made = DevicePanel(window.layout(), lambda: changes.append(1))
    made.changes = changes
    window.show()
    yield made
    made.abort()
    window.close()


def test_the_computer_is_not_checked_before_the_user_asks(host: Any, device: Any) -> None:
    assert device.probe is None
    assert not device.working
    assert "has not been checked" in device.ui.statusLabel.text


def test_the_check_runs_in_a_child_process_and_is_kept(host: Any, device: Any) -> None:
    device.ui.checkButton.click()
    assert device.working
    assert not device.ui.checkButton.enabled
    host.waitFor(lambda: not device.working, 120)
    assert device.error == ""
    assert device.ui.statusLabel.text.startswith("Computes on the")
    assert "GB free" in device.ui.memoryLabel.text
    answers: list[str] = []
    device.ensureChecked(answers.append)
    assert answers == [""]


def test_memory_is_given_in_the_gigabytes_that_computers_are_sold_with() -> None:
    from deeprecon.panels.computer.device_text import memoryText

    assert memoryText(PROBE) == "Memory: 4.0 of 8.0 GB free"


def test_an_unused_graphics_card_is_named_with_its_action(host: Any, device: Any, monkeypatch: Any) -> None:
    import qt

    from deeprecon.panels.computer.device_panel import DevicePanel

    monkeypatch.setattr(DevicePanel, "probed", PROBE)
    device.show()
    texts = [label.text for label in device.ui.problemsFrame.findChildren(qt.QLabel)]
    assert texts == ["⚠ NVIDIA Test: its driver is missing. <b>Install the driver.</b>"]
    combo = device.ui.deviceCombo
    assert [combo.itemText(index) for index in range(combo.count)] == ["Automatic", "Processor"]


def test_the_chosen_device_is_a_setting_of_the_computer(host: Any, device: Any, monkeypatch: Any) -> None:
    from deeprecon.panels.computer.device_panel import DevicePanel

    monkeypatch.setattr(DevicePanel, "probed", PROBE)
    device.show()
    assert device.device == "auto"
    device.ui.deviceCombo.currentIndex = 1
    assert device.device == "cpu"
    device.show()
    assert device.ui.deviceCombo.currentIndex == 1


def test_a_failed_check_is_reported(host: Any, device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(
        "deeprecon.panels.computer.device_panel.userCommand",
        lambda: [sys.executable, "-c", "raise SystemExit('no module')"],
    )
    answers: list[str] = []
    device.ensureChecked(answers.append)
    host.waitFor(lambda: not device.working, 120)
    assert answers == ["The check of this computer failed: no module"]
    assert device.ui.statusLabel.text == answers[0]


def test_a_missing_interpreter_is_reported(host: Any, device: Any) -> None:
    import qt

    from deeprecon.panels.computer.device_panel import INTERPRETER_SETTING

    qt.QSettings().setValue(INTERPRETER_SETTING, "/no/such/python")
    answers: list[str] = []
    device.ensureChecked(answers.append)
    assert "Cannot start /no/such/python" in answers[0]
    assert not device.working


def test_missing_packages_are_listed_with_buttons(host: Any, device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt

    from deeprecon.data.errors import InputError
    from deeprecon.panels.computer import installation

    monkeypatch.setattr(installation, "torchVersion", lambda folder=None: None)
    monkeypatch.setattr(device.overlay, "missing", lambda: ["nibabel"])
    asked: list[str] = []
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text, **_: asked.append(text) or True)

    def refuse() -> None:
        raise InputError("The PyTorch extension of Slicer is not installed.", "Install it.")

    monkeypatch.setattr("deeprecon.panels.computer.device_panel.installTorch", refuse)
    answers: list[str] = []
    device.ensureChecked(answers.append)
    assert answers == ["PyTorch is not installed. Press “Install PyTorch” under Device."]
    buttons = device.ui.problemsFrame.findChildren(qt.QPushButton)
    assert [button.text for button in buttons] == ["Install PyTorch", "Install packages"]
    buttons[0].click()
    assert "3 GB" in asked[0]
    assert device.ui.statusLabel.text == "The PyTorch extension of Slicer is not installed. Install it."


def test_packages_are_installed_exported_and_removed_from_the_panel(
    host: Any,
    device: Any,
    overlay: Any,  # noqa: F811
    wheels: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = overlay.start_install
    monkeypatch.setattr(overlay, "start_install", lambda: start(wheels))
    device.overlay = overlay
    device.show()
    assert NAME in device.ui.packagesLabel.text
    device.ui.installButton.click()
    assert device.ui.installButton.text == "Cancel"
    host.waitFor(lambda: not device.working, 120)
    assert "All packages are installed" in device.ui.packagesLabel.text
    assert "Successfully installed" in device.ui.installLog.toPlainText()
    device.ui.exportButton.click()
    assert device.ui.statusLabel.text.startswith("No package file is chosen.")
    device.ui.packagesPathEdit.currentPath = str(tmp_path / "packages.zip")
    device.ui.exportButton.click()
    device.ui.uninstallButton.click()
    assert not overlay.folder.exists()
    device.ui.importButton.click()
    assert "All packages are installed" in device.ui.packagesLabel.text
    assert device.changes


def test_packages_folder_and_python_are_chosen_in_the_panel(host: Any, device: Any, tmp_path: Path) -> None:
    import sys

    from deeprecon.panels.computer.device_panel import userCommand, userOverlay

    usual, command = device.overlay.folder, userCommand()
    device.ui.packagesFolderEdit.currentPath = str(tmp_path)
    assert device.overlay.folder.parent == tmp_path / "DeepRecon"  # removing the packages deletes only our own folder
    assert userOverlay().folder == device.overlay.folder
    device.ui.packagesFolderEdit.currentPath = ""
    assert device.overlay.folder == usual
    device.ui.interpreterEdit.currentPath = sys.executable
    assert userCommand()[0] == sys.executable
    assert "has not been checked" in device.ui.statusLabel.text
    assert not device.ui.problemsFrame.visible
    device.ui.interpreterEdit.currentPath = ""
    assert userCommand() == command
