"""The training panel: examples are added, a training starts, stops, is resumed, and its model is used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest

from deeprecon.jobs.parameters import Range, check_ranges

from .conftest import ROOT

Use = Callable[[str], None]
DWMRI = ROOT / "DWMRIEnhance" / "DWMRIEnhance.py"


class Size(Enum):
    SMALL = "small-8x"
    LARGE = "large-4x"


@dataclass(frozen=True)
class Inputs:
    store: Annotated[Path, "prepared data"]
    start: Annotated[Path | None, "weights to start from"] = None
    noisy: Annotated[tuple[Path, ...], "noisy scans"] = ()
    mask: Annotated[tuple[Path, ...], "masks"] = ()


@dataclass(frozen=True)
class Settings:
    size: Annotated[Size, "which network"] = Size.LARGE
    steps: Annotated[int, Range(2, 10_000_000), "optimizer steps"] = 2000
    learning_rate: Annotated[float, Range(1e-6, 0.1), "step size"] = 3e-3
    compile: Annotated[bool, "compile it"] = False

    def validate(self) -> list[str]:
        return check_ranges(self)


@pytest.fixture
def trainer(host: Any, probed: Any, tmp_path: Path) -> Iterator[Any]:
    """A training panel of a made-up verb by itself; the models that are to be used are noted in `trainer.used`."""
    import qt
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    from deeprecon.panels.common.training_panel import Training, TrainingPanel
    from deeprecon.panels.computer.device_panel import DevicePanel
    from deeprecon.scene.nodes.parameters import parameter_pack

    pack = parameter_pack(Settings)
    Node = parameterNodeWrapper(type("Node", (), {"__annotations__": {"training": pack, "seed": int}, "seed": 7}))
    logic = ScriptedLoadableModuleLogic()
    logic.moduleName = "Trainer"
    window = qt.QWidget()
    window.setLayout(qt.QVBoxLayout())
    device = DevicePanel(window.layout(), lambda: None)
    used: list[Path] = []
    what = Training("dwmri", "train", Inputs, Settings, "training", "Test training", labels={"mask": "Brain mask"},
                    needed=("noisy",), folders=("store",), endings=(".nii.gz", ".nrrd"))  # fmt: skip
    made = TrainingPanel(window.layout(), what, device, used.append)
    made.setParameterNode(Node(logic.getParameterNode()))
    made.node, made.used = made._node, used
    window.show()
    (tmp_path / "store").mkdir()
    for folder in ("noisy", "masks"):
        (tmp_path / folder).mkdir()
        for name in ("b.nii.gz", "a.nrrd", "a.bval"):
            (tmp_path / folder / name).touch()
    yield made
    made.cleanup()
    window.close()
    slicer.mrmlScene.Clear()


def fill(trainer: Any, folder: Path) -> None:
    """Everything that a training needs."""
    trainer.inputs["store"].currentPath = str(folder / "store")
    trainer.examples.edits["noisy"].currentPath = str(folder / "noisy" / "a.nrrd")
    trainer.examples.ui.addButton.click()
    trainer.ui.folderEdit.currentPath = str(folder / "my training")


def test_the_settings_are_fields_of_the_dataclass_stored_in_the_parameter_node(host: Any, trainer: Any) -> None:
    combo = trainer.settings["size"]
    assert [combo.itemText(index) for index in range(combo.count)] == ["Small 8x", "Large 4x"]
    assert combo.currentText == "Large 4x"
    assert trainer.settings["learning_rate"].value == 0.003
    assert (trainer.settings["steps"].minimum, trainer.settings["steps"].maximum) == (2, 10_000_000)
    trainer.settings["steps"].value = 50
    trainer.settings["compile"].click()
    combo.currentIndex = 0
    assert (trainer.node.training.steps, trainer.node.training.compile) == (50, True)
    assert trainer.node.training.size is Size.SMALL


def test_missing_inputs_of_a_training_are_named_one_after_the_other(host: Any, trainer: Any, tmp_path: Path) -> None:
    button = trainer.runPanel.ui.applyButton
    assert button.text == "Start training"
    assert "store" in button.toolTip
    trainer.inputs["store"].currentPath = str(tmp_path / "store")
    assert "examples" in button.toolTip
    trainer.examples.edits["noisy"].currentPath = str(tmp_path / "noisy" / "a.nrrd")
    trainer.examples.ui.addButton.click()
    assert "training folder" in button.toolTip
    trainer.ui.folderEdit.currentPath = str(tmp_path / "noisy")
    assert "not empty" in button.toolTip
    trainer.ui.folderEdit.currentPath = str(tmp_path / "new")
    assert button.enabled
    assert not trainer.ui.useButton.enabled
    assert not trainer.runPanel.ui.secondaryButton.enabled
    assert "holds no training" in trainer.runPanel.ui.secondaryButton.toolTip


def test_folders_are_paired_by_file_name(host: Any, trainer: Any, tmp_path: Path) -> None:
    table = trainer.examples
    table.edits["noisy"].currentPath = str(tmp_path / "noisy")
    table.edits["mask"].currentPath = str(tmp_path / "masks")
    table.ui.addButton.click()
    assert [row["noisy"].name for row in table.rows] == ["a.nrrd", "b.nii.gz"]
    assert [row["mask"].parent.name for row in table.rows] == ["masks", "masks"]
    assert table.edits["noisy"].currentPath == ""
    assert table.ui.table.item(1, 0).text() == "b.nii.gz"
    table.edits["noisy"].currentPath = str(tmp_path / "noisy" / "a.nrrd")
    table.ui.addButton.click()
    assert "other kinds" in table.ui.messageLabel.text  # has no mask
    (tmp_path / "masks" / "a.nrrd").unlink()
    table.edits["noisy"].currentPath = str(tmp_path / "noisy")
    table.edits["mask"].currentPath = str(tmp_path / "masks")
    table.ui.addButton.click()
    assert "same names: a" in table.ui.messageLabel.text
    table.ui.table.selectRow(0)
    table.ui.removeButton.click()
    assert [row["noisy"].name for row in table.rows] == ["b.nii.gz"]


def test_a_stopped_training_is_resumed_with_its_own_settings(
    host: Any, trainer: Any, fake_worker: Use, tmp_path: Path
) -> None:
    fill(trainer, tmp_path)
    folder = tmp_path / "my training"
    run = trainer.runPanel
    trainer.node.training.steps = 60
    fake_worker("long")
    run.ui.applyButton.click()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {
        "store": str(tmp_path / "store"), "start": None, "noisy": [str(tmp_path / "noisy" / "a.nrrd")], "mask": [],
    }  # fmt: skip
    assert (job["parameters"]["steps"], job["seed"], job["verb"]) == (60, 7, "train")
    assert not trainer.ui.folderEdit.enabled
    host.waitFor(lambda: run.curves.plot is not None, 120)
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "fit.safetensors").touch()
    run.ui.finishButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert run.state.value == "done"
    assert not run.ui.applyButton.enabled  # the folder is taken
    assert run.ui.secondaryButton.enabled
    trainer.node.training.steps = 90
    fake_worker("short")
    run.ui.secondaryButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert json.loads((folder / "job.json").read_text(encoding="utf-8")) == job


def test_the_model_of_a_folder_is_used(host: Any, trainer: Any, tmp_path: Path) -> None:
    folder = tmp_path / "done"
    (folder / "bundle").mkdir(parents=True)
    (folder / "result.json").write_text('{"outputs": {"bundle": {"path": "bundle", "files": {}}}}', encoding="utf-8")
    trainer.ui.folderEdit.currentPath = str(folder)
    trainer.ui.useButton.click()
    assert trainer.used == [folder / "bundle"]


def test_the_model_is_used_where_the_result_lies(host: Any, trainer: Any, tmp_path: Path) -> None:
    from deeprecon.scene.common.training_job import trained_model

    folder = tmp_path / "done"
    lines = []
    for place, early in (("", False), ("stopped", True), ("result", False)):
        (folder / place / "bundle").mkdir(parents=True)
        content = {"outputs": {"bundle": {"path": "bundle", "files": {}}}, "provenance": {"stopped_early": early}}
        (folder / place / "result.json").write_text(json.dumps(content), encoding="utf-8")
        lines.append(json.dumps({"type": "result", "path": f"{place}/result.json".lstrip("/")}))
        (folder / "events.jsonl").write_text("\n".join([*lines, '{"type": "error"}', ""]), encoding="utf-8")
        trainer.ui.folderEdit.currentPath = ""
        trainer.ui.folderEdit.currentPath = str(folder)
        trainer.ui.useButton.click()
    assert trainer.used == [folder / "bundle", folder / "bundle", folder / "result" / "bundle"]
    assert trained_model(folder / "stopped") == folder / "stopped" / "bundle"  # as after the run that was interrupted
    (folder / "result" / "result.json").unlink()
    assert trained_model(folder) == folder / "bundle"


def test_a_training_survives_the_scene_but_not_the_module(
    host: Any, trainer: Any, fake_worker: Use, tmp_path: Path
) -> None:
    import slicer

    from .conftest import wait_until_gone

    fill(trainer, tmp_path)
    fake_worker("long")
    run = trainer.runPanel
    run.ui.applyButton.click()
    host.waitFor(lambda: run.curves.plot is not None, 120)
    trainer.sceneClosing()
    slicer.mrmlScene.Clear()
    assert run.busy
    host.waitFor(lambda: run.curves.plot is not None, 120)  # curves of the new scene
    assert slicer.util.getFirstNodeByClassByName("vtkMRMLPlotChartNode", "Test training") is not None
    pids = [int(word) for word in (tmp_path / "my training" / "pids").read_text(encoding="utf-8").split()]
    run.abort()
    assert wait_until_gone(pids) == []


def test_a_network_is_trained_on_pairs_stopped_resumed_and_used(host: Any, probed: Any, tmp_path: Path) -> None:
    import qt

    from deeprecon.data.diffusion.files import write_dwi
    from deeprecon.dwmri.simulate.head import make_phantom
    from deeprecon.panels.computer.device_panel import DEVICE_SETTING
    from deeprecon.scene.dwmri.scan import node_from_scan

    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(DWMRI)
    for seed in (0, 1):
        made = make_phantom((8, 16, 18), 2, ((1000.0, 8),), 20.0, seed)
        for name, scan in (("noisy", made.noisy), ("clean", made.clean)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_dwi(tmp_path / name / f"scan {seed}.nrrd", scan)
    (trainer,) = widget.trainingPanels
    for name in ("noisy", "clean"):
        trainer.examples.edits[name].currentPath = str(tmp_path / name)
    trainer.examples.ui.addButton.click()
    trainer.settings["steps"].value = 1000
    trainer.settings["width"].value = 4
    trainer.ui.folderEdit.currentPath = str(tmp_path / "model")
    run = trainer.runPanel
    assert run.ui.applyButton.enabled, run.ui.applyButton.toolTip
    run.ui.applyButton.click()
    host.waitFor(lambda: run.curves.plot is not None, 240)
    run.ui.finishButton.click()
    host.waitFor(lambda: not run.busy, 240)
    assert run.state.value == "done", run.ui.messageLabel.text
    assert trainer.ui.useButton.enabled
    run.ui.secondaryButton.click()
    host.waitFor(lambda: any(line.startswith("Continuing after") for line in run.logLines), 240)
    host.waitFor(lambda: run.curves.plot and run.curves.plot.chart.GetNumberOfPlotSeriesNodes() == 2, 240)
    run.ui.finishButton.click()
    host.waitFor(lambda: not run.busy, 240)
    assert run.state.value == "done", run.ui.messageLabel.text
    chart = run.curves.plot.chart
    names = [chart.GetNthPlotSeriesNode(index).GetName() for index in range(chart.GetNumberOfPlotSeriesNodes())]
    assert names == ["training loss", "held-out loss"]
    node = widget._parameterNode
    node.inputScan = node_from_scan(make_phantom((8, 16, 18), 2, ((1000.0, 8),), 20.0).noisy, "Patient DWI")
    trainer.ui.useButton.click()
    assert node.useModel
    assert widget.bundlePanel.bundle.method == "dwmri"
    assert widget.runPanel.ui.applyButton.enabled
