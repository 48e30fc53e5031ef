"""Seizure detection in the scene, with real MRML: a recording as a table, probability as a chart, events as a table."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from vtkmodules.util.numpy_support import vtk_to_numpy

from deeprecon.data.doubts import DoubtError
from deeprecon.data.errors import InputError
from deeprecon.jobs.job import Job
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.seizure.job import write_job
from deeprecon.scene.seizure.recording import load_recording, write_recording
from deeprecon.scene.seizure.result import load_outputs, rescore
from deeprecon.scene.seizure.run import detect_seizures
from deeprecon.seizure.configuration import Config
from deeprecon.seizure.parameters import DetectParameters
from deeprecon.seizure.simulate.files import write_phantom


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight minutes of a simulated wrist with a seizure."""
    return write_phantom(tmp_path_factory.mktemp("wrist"), 1, 1, 2.0, 0.15, 0)["recording"]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from deeprecon.seizure.networks.deepepi import new_network
    from deeprecon.seizure.write.ensemble import write_ensemble

    folder = tmp_path_factory.mktemp("model") / "bundle"
    write_ensemble(folder, [new_network(seed).state_dict() for seed in range(3)], Config(), 0.5, ["a"], [], "nothing")
    return folder


@pytest.fixture(scope="session")
def result(recording: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result folder of a run of the worker."""
    from deeprecon.worker import run_job

    folder = tmp_path_factory.mktemp("result")
    inputs = {"recording": str(recording), "bundle": str(bundle)}
    Job("seizure", "detect", inputs, {"threshold": 0.4}, "..", "cpu", 1, "fp32", 0).save(folder / ".job")
    assert run_job(folder / ".job") == 0
    return folder


def column(node: Any, name: str) -> np.ndarray:
    return vtk_to_numpy(node.GetTable().GetColumnByName(name))


def series_of(chart: Any) -> dict[str, Any]:
    nodes = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    return {node.GetYColumnName(): node for node in nodes}


def test_a_recording_becomes_a_table_in_g_with_a_note_of_its_unit(scene: Any, tmp_path: Path) -> None:
    times = np.arange(1000) / 25
    keep = (times < 10) | (times > 20)
    rows = np.column_stack([times, np.zeros(1000), np.zeros(1000), 1000.0 + np.arange(1000) % 2])[keep]
    np.savetxt(tmp_path / "wrist.csv", rows, "%.2f", delimiter=",", header="t,x,y,z", comments="")
    node = load_recording(tmp_path / "wrist.csv")
    assert node.GetName() == "wrist accelerometer"
    assert "read as mg" in node.GetAttribute("DeepRecon.Notes")
    np.testing.assert_allclose(column(node, "time_s"), times, atol=1e-9)
    magnitude = column(node, "magnitude_g")
    np.testing.assert_array_equal(np.isnan(magnitude), ~keep)
    np.testing.assert_allclose(magnitude[keep], rows[:, 3] / 1000, atol=1e-6)


def test_a_recording_states_first_what_is_not_monitored_and_what_is_assumed(scene: Any, tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(2000) / 25, np.random.default_rng(0).normal(0, 0.003, (2000, 2)), np.ones(2000)])
    rows[500:1000, 1:] = 0
    np.savetxt(tmp_path / "wrist.csv", rows, "%.4f", delimiter=",", header="t,x,y,z", comments="")
    node = load_recording(tmp_path / "wrist.csv")
    assert node.GetAttribute("DeepRecon.Notes") == "not monitored: 25.0 % of 0.02 h (zeros 0.3 min); read as g"
    np.testing.assert_array_equal(np.isnan(column(node, "magnitude_g")), (rows[:, 3] == 0))
    rows[:, 3] *= 0.8
    np.savetxt(tmp_path / "wrist.csv", rows, "%.4f", delimiter=",", header="t,x,y,z", comments="")
    with pytest.raises(DoubtError, match=r"a still arm measures 0\.80 g"):
        load_recording(tmp_path / "wrist.csv")
    accepted = load_recording(tmp_path / "wrist.csv", accept=["calibration-doubtful"])
    assert "a still arm measures 0.80 g instead of 1 g" in accepted.GetAttribute("DeepRecon.Notes")
    write_job(tmp_path / "job", "a.csv", "bundle", accept=["calibration-doubtful"])
    assert Job.load(tmp_path / "job").accept == ["calibration-doubtful"]


def test_a_table_is_written_to_a_file_and_read_back(scene: Any, recording: Path, tmp_path: Path) -> None:
    node = load_recording(recording)
    write_recording(node, tmp_path / "again.csv")
    again = load_recording(tmp_path / "again.csv")
    np.testing.assert_allclose(column(again, "magnitude_g"), column(node, "magnitude_g"), atol=1e-6)


def test_a_table_that_slicer_read_can_be_used(scene: Any, tmp_path: Path) -> None:
    from deeprecon.scene.nodes.tables import node_from_rows

    rows = [{"T": n / 25, "X": 0.0, "Y": 0, "Z": "1.0"} for n in range(300)]
    write_recording(node_from_rows(rows, "table"), tmp_path / "a.csv")
    np.testing.assert_allclose(column(load_recording(tmp_path / "a.csv"), "magnitude_g"), 1, atol=1e-6)
    with pytest.raises(InputError, match="the columns a, b"):
        write_recording(node_from_rows([{"a": 1, "b": 2}], "other"), tmp_path / "b.csv")
    with pytest.raises(InputError, match="holds text that is no number"):
        write_recording(node_from_rows([{"t": 1, "magnitude": "loud"}], "text"), tmp_path / "b.csv")


def test_a_file_that_cannot_be_read_adds_nothing(scene: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError):
        load_recording(tmp_path / "a.csv")
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_a_result_becomes_tables_and_a_chart(scene: Any, recording: Path, result: Path) -> None:
    nodes = load_outputs(result, "night")
    probability = column(nodes.probability, "probability")
    seconds = column(load_recording(recording), "time_s")[-1] + 0.04
    assert len(probability) == int((seconds - 30) // 5) + 1  # windows end at 30 s, 35 s, ...
    assert nodes.probability.GetName() == "night probability"
    np.testing.assert_allclose(column(nodes.probability, "threshold"), 0.4)
    series = series_of(nodes.chart)
    assert list(series) == ["probability", "threshold", "osd_state"]
    for node in series.values():
        assert node.GetTableNode() is nodes.probability
        assert node.GetXColumnName() == "time_s"
    assert "no alarm device" in nodes.chart.GetTitle()
    assert provenance_of(nodes.probability)["verb"] == "detect"
    events = nodes.events.GetTable()
    assert events.GetColumnName(0) == "onset_s"


def test_quantile_and_threshold_change_in_place(scene: Any, result: Path) -> None:
    nodes = load_outputs(result)
    models = np.array([column(nodes.probability, f"model_{number:02d}") for number in range(3)])
    heard: list[str] = []
    nodes.probability.GetTable().AddObserver("ModifiedEvent", lambda caller, event: heard.append(event))
    rescore(nodes, 1.0, 0.0)
    assert heard
    np.testing.assert_allclose(column(nodes.probability, "probability"), models.max(axis=0))
    assert nodes.events.GetTable().GetNumberOfRows() == 1  # everything is above 0
    rescore(nodes, 0.0, 1.0)
    np.testing.assert_allclose(column(nodes.probability, "probability"), models.min(axis=0))
    np.testing.assert_array_equal(column(nodes.probability, "threshold"), 1.0)
    assert nodes.events.GetTable().GetNumberOfRows() == 0
    with pytest.raises(InputError, match="quantile is 2"):
        rescore(nodes, 2.0, 0.5)


def test_the_nodes_survive_saving_the_scene(scene: Any, result: Path, tmp_path: Path) -> None:
    load_outputs(result, "night")
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    chart = slicer.util.getNode("night chart")
    table = series_of(chart)["probability"].GetTableNode()
    assert not math.isnan(column(table, "probability")[0])


def test_another_result_is_refused_and_adds_nothing(scene: Any, make_results: Any) -> None:
    kinds = ("vtkMRMLModelNode", "vtkMRMLTableNode", "vtkMRMLSegmentationNode")
    before = [scene.GetNumberOfNodesByClass(kind) for kind in kinds]
    with pytest.raises(InputError, match="no result of seizure detect"):
        load_outputs(make_results())
    assert [scene.GetNumberOfNodesByClass(kind) for kind in kinds] == before


def test_a_batch_script_detects_in_a_child_process(scene: Any, recording: Path, bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "utf8", "-u", "-m", "deeprecon.worker"]
    heard: list[str] = []
    node = load_recording(recording)
    nodes = detect_seizures(
        node, bundle, tmp_path / "out", DetectParameters(stride=10.0), "cpu", command, lambda e: heard.append(e["type"])
    )
    assert "result" in heard
    assert (np.diff(column(nodes.probability, "time_s")) == 10).all()
    assert nodes.events.GetName().startswith(node.GetName())
    assert json.loads((tmp_path / "out" / "result.json").read_text())["provenance"]["verb"] == "detect"


def test_a_failed_run_raises_and_does_not_change_the_scene(scene: Any, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "short.csv").write_text("t,magnitude\n" + "".join(f"{n / 25},1\n" for n in range(500)))
    command = [sys.executable, "-X", "utf8", "-u", "-m", "deeprecon.worker"]
    with pytest.raises(InputError, match="shorter than a window"):
        detect_seizures(tmp_path / "short.csv", bundle, tmp_path / "out", device="cpu", command=command)
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_settings_are_checked_before_anything_is_written(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(InputError, match="threshold is 2"):
        write_job(tmp_path / "job", "a.csv", bundle, DetectParameters(threshold=2.0))
    assert not (tmp_path / "job").exists()
