"""Messages of a job as the panels say them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deeprecon.data.doubts import Doubt
from deeprecon.jobs.failures import Failure
from deeprecon.steps import Steps, in_steps

from .test_static import DWMRI

CONTROLS = {"labels": "Scar", "slice-thickness": "Slice thickness"}


@pytest.fixture
def say(host: Any, tmp_path: Path) -> Any:
    from deeprecon.panels.screen.panel_words import panelWords

    return partial(panelWords, controls=CONTROLS, fileNames={"lge.nrrd": "Patient LGE"}, folder=tmp_path)


def test_temporary_folders_are_left_out_and_files_are_called_as_their_nodes(say: Any, tmp_path: Path) -> None:
    assert say(f"{tmp_path}/inputs/lge.nrrd is cut off: give --slice-thickness.") == (
        'Patient LGE is cut off: give "Slice thickness".'
    )
    assert say(f"There is no result in {tmp_path}: gone.") == "There is no result in the folder of the run: gone."
    assert say("The samples are in /home/me/results.") == "The samples are in /home/me/results."


def test_how_to_accept_is_told_for_the_panel_and_codes_are_left_out(say: Any) -> None:
    refused = Failure("input", "film.png: Left is right.", "Turn it.", ("film-turned", "film-view"))
    assert say(refused.told) == (
        "film.png: Left is right. Turn it. To continue all the same, run it alone and press “Continue anyway”."
    )
    found = Doubt("segment-not-used", "lge.nrrd", "The segment fibrosis is not counted as scar.", assumed=True)
    assert say(str(found)) == "Patient LGE: The segment fibrosis is not counted as scar. (assumed)"
    assert say("slice_thickness: 0 mm is too thin.") == "Slice thickness: 0 mm is too thin."
    assert say("Choose all segments of scar with --labels 'scar=LV fibrosis'.") == (
        'Choose all segments of scar with "Scar".'
    )


def test_a_sign_is_shown_as_it_is(host: Any, panel: Any) -> None:
    import qt

    from deeprecon.panels.common.run_panel import RunState

    panel._finish("Left > right & <up>", RunState.DONE)
    assert panel.ui.messageLabel.textFormat == qt.Qt.RichText
    document = qt.QTextDocument()
    document.setHtml(panel.ui.messageLabel.text)
    assert document.toPlainText() == "Left > right & <up>"


@pytest.mark.parametrize("shortened", [False, True])
def test_a_run_that_was_ended_early_teaches_nothing_about_the_next(
    host: Any, probed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shortened: bool
) -> None:
    import sys

    widget = host.loadModule(DWMRI)
    learned: list[Any] = []
    loaded = type("Loaded", (), {"nodes": {"dwi": None}, "report": None, "sentence": ""})

    @in_steps
    def loading(*_: Any) -> Steps[Any]:
        yield "Loading…"
        return loaded

    monkeypatch.setattr(sys.modules["DWMRIEnhance"], "load_outputs", loading)
    monkeypatch.setattr(sys.modules["DWMRIEnhance"], "count_values", lambda _: 1)
    monkeypatch.setattr(widget.estimate, "learn", lambda *values: learned.append(values))
    widget.job = None, {}, ("pca", "cpu")
    widget.runPanel.shortened = shortened
    list(widget.load(tmp_path))
    assert len(learned) == (not shortened)
