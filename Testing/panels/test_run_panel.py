"""The run panel with a scripted child process: progress, curves, cancel, failures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeprecon.data.doubts import CODES
from deeprecon.data.errors import InputError
from deeprecon.jobs.job import Job
from deeprecon.jobs.runner import JobRunner

from .conftest import wait_until_gone

Use = Callable[[str], None]


def pids_of(panel: Any, host: Any) -> list[int]:
    """Process IDs of a running fake worker and its child."""
    path = panel.folder / "pids"
    host.waitFor(lambda: path.exists() and path.read_text(encoding="utf-8") != "", 120)
    return [int(word) for word in path.read_text(encoding="utf-8").split()]


def test_a_run_reports_progress_curves_and_its_result(host: Any, panel: Any, fake_worker: Use) -> None:
    import slicer

    fake_worker("long")
    panel.ui.applyButton.click()
    assert panel.ui.applyButton.text == "Cancel"
    assert panel.ui.runningFrame.visible
    host.waitFor(lambda: panel.ui.progressBar.value > 0, 120)
    assert "left" in panel.ui.timeLabel.text
    assert panel.ui.stageLabel.text == "Working"
    chart = slicer.util.getFirstNodeByClassByName("vtkMRMLPlotChartNode", "Test curves")
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert not panel.ui.curvesCollapsibleButton.collapsed
    panel.ui.finishButton.click()
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "done"
    assert panel.shortened
    assert panel.calls == ["prepare", "load"]
    assert panel.ui.messageLabel.text.startswith("Scar volume: 1 ml. Took")
    assert "The slices overlap." in panel.ui.warningsLabel.text
    assert panel.ui.applyButton.text == "Apply"


def test_cancelling_ends_the_child_and_its_children_and_loads_nothing(host: Any, panel: Any, fake_worker: Use) -> None:
    fake_worker("long")
    panel.ui.applyButton.click()
    pids = pids_of(panel, host)
    panel.ui.applyButton.click()
    assert panel.state.value == "cancelling"
    assert not panel.ui.applyButton.enabled
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "idle"
    assert panel.ui.messageLabel.text == "Cancelled. Nothing was changed."
    assert panel.calls == ["prepare"]
    assert wait_until_gone(pids) == []


def test_the_application_responds_while_a_job_writes_many_events(
    host: Any, panel: Any, fake_worker: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt

    from deeprecon.panels.common.run_panel import EVENTS_PER_TICK

    polled: list[int] = []
    ticks: list[int] = []
    poll = JobRunner.poll

    def counted(runner: JobRunner, limit: int = 1000) -> Any:
        events = poll(runner, limit)
        polled.append(len(events))
        return events

    monkeypatch.setattr(JobRunner, "poll", counted)
    timer = qt.QTimer()
    timer.setInterval(10)
    timer.connect("timeout()", lambda: ticks.append(len(polled)))
    fake_worker("verbose")
    timer.start()
    panel.ui.applyButton.click()
    host.waitFor(lambda: not panel.busy, 120)
    timer.stop()
    assert panel.state.value == "done"
    assert "line 19999 äö" in panel.logLines
    assert sum(polled) > 20_000
    assert max(polled) <= EVENTS_PER_TICK
    assert max(after - before for before, after in itertools.pairwise(ticks)) <= 3  # other timers have their turn


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("input", "<b>Sample LGE has a hole &lt;in&gt; it.</b> Give &quot;Slice thickness&quot;."),
        ("killed", "was killed"),
    ],
)
def test_failures_are_shown_in_the_panel(host: Any, panel: Any, fake_worker: Use, mode: str, words: str) -> None:
    fake_worker(mode)
    panel.fileNames = {"lge.nrrd": "Sample LGE"}
    panel.ui.applyButton.click()
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "failed"
    assert words in panel.ui.messageLabel.text
    assert panel.calls == ["prepare"]
    assert panel.ui.applyButton.enabled
    assert panel.ui.applyButton.text == "Apply"


def test_bad_input_is_shown_before_anything_starts(host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Path:
        raise InputError("The wall is empty.", "Draw it.")

    object.__setattr__(panel._callbacks, "prepare", refuse)
    panel.ui.applyButton.click()
    assert panel.state.value == "failed"
    assert panel.ui.messageLabel.text == "<b>The wall is empty.</b> Draw it."


def test_a_result_that_cannot_be_loaded_is_a_failure(host: Any, panel: Any, fake_worker: Use) -> None:
    def refuse(folder: Path) -> str:
        raise InputError("mesh.vtu was changed after the run.", "Run the job again.")

    object.__setattr__(panel._callbacks, "load", refuse)
    fake_worker("short")
    panel.ui.applyButton.click()
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "failed"
    assert "was changed" in panel.ui.messageLabel.text


@pytest.mark.parametrize("mode", ["long", "stubborn"])
def test_closing_ends_the_job_at_once(host: Any, panel: Any, fake_worker: Use, mode: str) -> None:
    fake_worker(mode)
    panel.ui.applyButton.click()
    pids = pids_of(panel, host)
    panel.abort()
    assert not panel.busy
    assert wait_until_gone(pids) == []


def test_the_end_of_the_application_ends_the_job(host: Any, panel: Any, fake_worker: Use) -> None:
    import slicer

    fake_worker("long")
    panel.ui.applyButton.click()
    pids = pids_of(panel, host)
    slicer.app.aboutToQuit.emit()
    assert wait_until_gone(pids) == []


def test_the_tool_tip_of_apply_names_the_missing_input(host: Any, panel: Any) -> None:
    panel.setReady(False, "Choose a segmentation.")
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip == "Choose a segmentation."
    panel.apply()
    assert panel.calls == []


def test_the_report_names_no_patient_no_user_and_no_folder(host: Any, panel: Any) -> None:
    import getpass

    import qt
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Doe^Jane 1954")
    panel.log(f"Reading {Path.home()}/patients/Doe/lge.nrrd of Doe^Jane 1954, C:\\Users\\{getpass.getuser()}\\x.nrrd")
    panel.ui.copyReportButton.click()
    text = qt.QApplication.clipboard().text()
    assert "Slicer:" in text
    assert "lge.nrrd" in text
    assert "NVIDIA Test" in text
    for private in ("Doe", "Jane", str(Path.home()), "patients", "Users"):
        assert private not in text


@pytest.mark.parametrize(("seconds", "words"), [(8.2, "8 s"), (100, "2 min"), (4800, "1 h 20 min")])
def test_durations_as_text(host: Any, seconds: float, words: str) -> None:
    from deeprecon.panels.common.time_estimates import durationText

    assert durationText(seconds) == words


def test_the_duration_of_a_run_is_learned_without_that_of_its_training(host: Any) -> None:
    from deeprecon.panels.common.time_estimates import TrainingTimeEstimate

    estimate = TrainingTimeEstimate("Test")
    estimate.learn("network", "cpu", 60.0, 80.0)
    assert estimate.sentence("network", "cpu", 30.0) == "A run takes at most about 50 s on this computer."
    assert estimate.sentence("network", "cpu", 0.0) == "A run takes about 20 s on this computer."


def test_a_contradiction_is_asked_about_and_the_run_continues_when_it_is_accepted(
    host: Any, panel: Any, fake_worker: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CODES, "test-doubt", "Made for the tests.")
    fake_worker("contradiction")
    panel.ui.applyButton.click()
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "failed"
    assert panel.ui.messageLabel.text == "<b>film.png: Left is right.</b> Turn it."
    assert panel.ui.acceptButton.visible
    panel.ui.acceptButton.click()
    assert not panel.ui.acceptButton.visible
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "done"
    assert Job.load(panel.folder).accept == ["test-doubt"]
    panel.ui.applyButton.click()  # accepted for that run alone
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "failed"


def test_the_result_is_loaded_from_where_it_lies(host: Any, panel: Any, fake_worker: Use) -> None:
    fake_worker("beside")
    panel.ui.applyButton.click()
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "done"
    assert panel.loaded == [panel.folder / "output" / "result"]


def test_other_failures_offer_nothing_to_accept(host: Any, panel: Any, fake_worker: Use) -> None:
    fake_worker("input")
    panel.ui.applyButton.click()
    host.waitFor(lambda: not panel.busy, 120)
    assert panel.state.value == "failed"
    assert not panel.ui.acceptButton.visible
