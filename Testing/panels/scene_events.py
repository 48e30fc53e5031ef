"""What happens in the scene while a panel is open, in every state of the panel; one file of tests for each module.

After each event every choice of the user must be as before, or as in the scene that was loaded, or empty; never another
node or segment. All panels of the extension are made, as in an application in which each was opened once.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .conftest import ROOT, apply

MODULES = ("ScarReconstruction", "CTPASynthesis", "DWMRIEnhance")
STATES = ("idle", "running", "result shown", "comparison on")
DECOYS = (
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsFiducialNode",
    "vtkMRMLTableNode",
    "vtkMRMLDiffusionWeightedVolumeNode",
    "vtkMRMLSequenceNode",
    "vtkMRMLLabelMapVolumeNode",
    "vtkMRMLMarkupsROINode",
    "vtkMRMLMarkupsLineNode",
)
"""Classes of nodes that selectors offer; one of each comes before and one after those that are chosen."""


class HeldRunner:
    """A job that runs until the test ends it."""

    def __init__(self, folder: Path, _command: list[str], _environment: dict[str, str]) -> None:
        self.folder = folder
        self.running = self.killed = False
        self.result_folder: Path | None = None

    def start(self) -> None:
        self.running = True

    def poll(self, _limit: int = 1000) -> list[Any]:
        return []

    def finish(self, result_folder: Path) -> None:
        self.result_folder, self.running = result_folder, False

    def kill(self) -> None:
        self.killed, self.running = True, False

    def failure(self) -> dict[str, Any] | None:
        return None if self.result_folder else {"kind": "internal", "message": "killed", "hint": "", "codes": ()}


@dataclass(frozen=True)
class Case:
    """A module with its inputs and results.

    Attributes:
        module: its name.
        inputs: parameters of the input nodes.
        main: parameter of the main result.
        choose: makes input nodes whose names begin with the text, and chooses them.
        compare: shows more than the result.
        result_panel: of the module's widget.
        finished: writes the result of a job into a new folder; None to have the module compute it once.
    """

    module: str
    inputs: tuple[str, ...]
    main: str
    choose: Callable[[Any, str], None]
    compare: Callable[[Bench], None]
    result_panel: Callable[[Any], Any]
    finished: Callable[[Path], None] | None = None


@dataclass
class Bench:
    """The open panel of a case, with the panels of the other modules made before it.

    Attributes:
        host: the application.
        case: the module.
        folder: of the result of all runs.
        scene: a scene file with the case and a result.
        stored: the choices in that scene, by name.
        state: of the panel.
        decoys: nodes that were never chosen.
        shown: what the panel shows of the result.
    """

    host: Any
    case: Case
    folder: Path
    scene: Path
    stored: dict[str, Any] = field(default_factory=dict)
    state: str = "idle"
    decoys: list[Any] = field(default_factory=list)
    shown: str = ""

    # -- the panel

    @property
    def widget(self) -> Any:
        import slicer

        return getattr(slicer.modules, f"{self.case.module}Widget")

    @property
    def node(self) -> Any:
        return self.widget._parameterNode

    @property
    def run(self) -> Any:
        return self.widget.runPanel

    @property
    def result(self) -> Any:
        return self.case.result_panel(self.widget)

    def main(self) -> Any:
        return getattr(self.node, self.case.main)

    def choices(self) -> dict[str, Any]:
        """Parameter -> chosen node, or ID of the chosen segment."""
        return choices_of(self.node)

    def check(self, expected: dict[str, Any]) -> None:
        """The choices are those, and the panel shows them."""
        import slicer

        found = self.choices()
        wrong = {name: (text(found[name]), text(want)) for name, want in expected.items() if found[name] != want}
        assert not wrong, f"parameter: (found, expected): {wrong}"
        for name, widget in vars(self.widget.ui).items():
            if isinstance(widget, slicer.qMRMLNodeComboBox):
                chosen = found[widget.property("SlicerParameterName")]
                assert widget.currentNode() is chosen, (name, text(widget.currentNode()), text(chosen))
        for name, combo in SEGMENT_COMBOS.items():
            if name in found:
                assert getattr(self.widget.ui, combo).currentData == found[name], name
        shown = self.main() is not None
        assert self.result.ui.discardButton.enabled is shown
        if shown and self.shown:
            assert self.result.shown == self.shown
        for module in MODULES:
            if module != self.case.module:
                other = getattr(slicer.modules, f"{module}Widget").logic.getParameterNode()
                assert set(choices_of(other).values()) <= {None, ""}, module

    # -- states

    def prepare(self, state: str) -> None:
        """Bring the panel into a state. When it is idle, an earlier result lies in the scene, but is not chosen."""
        self.state, self.decoys = state, []
        self._add_decoys()
        self.case.choose(self.node, "Patient")
        self._add_decoys()
        self.apply().finish(self.folder)
        self.wait()
        if state == "idle":
            setattr(self.node, self.case.main, None)
        elif state == "running":
            self.apply()
        elif state == "comparison on":
            self.case.compare(self)
        self.shown = self.result.shown

    def apply(self) -> HeldRunner:
        """Start a run that ends when the test says so."""
        assert self.run.ui.applyButton.enabled, self.run.ui.applyButton.toolTip
        self.run.ui.applyButton.click()
        return self.started()

    def started(self) -> HeldRunner:
        """The job, once its inputs are written."""
        runner: HeldRunner = self.host.waitFor(lambda: self.run.runner, 120)
        return runner

    def wait(self) -> None:
        """Until the result of the run is loaded."""
        self.host.waitFor(lambda: not self.run.busy, 120)
        assert self.run.state.value == "done", self.run.ui.messageLabel.text

    def _add_decoys(self) -> None:
        import slicer

        self.decoys += [slicer.mrmlScene.AddNewNodeByClass(kind, f"Decoy {kind}") for kind in DECOYS]

    def finish(self, expected: dict[str, Any], earlier: Any) -> None:
        """End the run, if one is going on: its result replaces the one that was chosen at its start, or none."""
        import slicer

        if self.state != "running":
            return
        others = set(slicer.util.getNodesByClass("vtkMRMLNode")) - {earlier}
        assert self.run.busy
        self.run.runner.finish(self.folder)
        self.wait()
        assert self.main() is earlier if slicer.mrmlScene.IsNodePresent(earlier) else self.main() not in others
        assert slicer.mrmlScene.IsNodePresent(self.main())
        now = self.choices()
        kept = [name for name in expected if not name.startswith("output")]
        assert {name: now[name] for name in kept} == {name: expected[name] for name in kept}

    def check_usable(self) -> None:
        """The panel takes new inputs, and a run can start."""
        self.case.choose(self.node, "Next")
        assert self.run.ui.applyButton.enabled, self.run.ui.applyButton.toolTip


SEGMENT_COMBOS = {
    "myocardiumSegment": "myocardiumCombo",
    "scarSegment": "scarCombo",
    "noReflowSegment": "noReflowCombo",
    "remoteSegment": "remoteCombo",
}


def choices_of(node: Any) -> dict[str, Any]:
    """Parameter -> node, None, or ID of a segment."""
    import slicer

    values = {name: getattr(node, name) for name in node.allParameters}
    return {
        name: value
        for name, value in values.items()
        if value is None or isinstance(value, slicer.vtkMRMLNode) or name in SEGMENT_COMBOS
    }


def text(choice: Any) -> Any:
    """Name of a node, for messages and comparisons with another scene."""
    return choice.GetName() if hasattr(choice, "GetName") else choice


def make_bench(host: Any, case: Case, monkeypatch: Any, folder: Path) -> Bench:
    """Open the panels, compute the result that all runs will have, and save a scene with it, into the folder."""
    import slicer

    for module in (*(each for each in MODULES if each != case.module), case.module):
        host.loadModule(ROOT / module / f"{module}.py")
    bench = Bench(host, case, folder / "result", folder / "stored.mrb")
    case.choose(bench.node, "Stored")
    if case.finished is not None:
        case.finished(bench.folder)
    else:
        apply(host, bench.widget)
        assert bench.run.state.value == "done", bench.run.ui.messageLabel.text
        bench.folder = bench.run.runner.result_folder
    monkeypatch.setattr(sys.modules[type(bench.run).__module__], "JobRunner", HeldRunner)
    bench.apply().finish(bench.folder)
    bench.wait()
    assert slicer.util.saveScene(str(bench.scene), properties={})
    bench.stored = {name: text(value) for name, value in bench.choices().items()}
    return bench


def without_choices(path: Path) -> Path:
    """A copy of a scene file without the parameter nodes of modules."""
    copy = path.with_name("other.mrb")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith(".mrml"):
                content, count = re.subn(rb"<ScriptedModule\b.*?</ScriptedModule>", b"", content, flags=re.DOTALL)
                assert count >= len(MODULES)
            target.writestr(entry.filename, content)
    return copy


# -- events; each checks what it did to the choices


def load_scene(bench: Bench) -> None:
    """The choices are those of the loaded scene."""
    import slicer

    earlier, names = bench.main(), bench.stored
    slicer.util.loadScene(str(bench.scene), properties={})
    expected = bench.choices()
    assert {name: text(value) for name, value in expected.items()} == names
    bench.check(expected)
    loaded = bench.main()
    bench.finish(expected, earlier)
    assert text(loaded) == names[bench.case.main]
    assert slicer.mrmlScene.IsNodePresent(loaded)


def load_another_scene(bench: Bench) -> None:
    """A scene without choices of this module leaves them; its nodes get other IDs than in the file."""
    import slicer

    expected, earlier = bench.choices(), bench.main()
    slicer.util.loadScene(str(without_choices(bench.scene)), properties={})
    bench.check(expected)
    bench.finish(expected, earlier)


def close_scene(bench: Bench) -> None:
    """Nothing is chosen, and the run is ended."""
    import slicer

    runner, expected = bench.run.runner, {name: "" if name in SEGMENT_COMBOS else None for name in bench.choices()}
    slicer.mrmlScene.Clear()
    assert not bench.run.busy
    assert bench.state != "running" or runner.killed
    bench.check(expected)


def reload_module(bench: Bench) -> None:
    """The choices stay, and the run is ended."""
    import slicer

    runner, expected, old = bench.run.runner, bench.choices(), bench.widget
    slicer.util.reloadScriptedModule(bench.case.module)
    assert bench.widget is not old
    assert not bench.run.busy
    assert bench.state != "running" or runner.killed
    bench.shown = ""  # which of the images is shown is not a choice that is saved
    bench.check(expected)


def switch_module(bench: Bench) -> None:
    """The choices stay when the user comes back; a run ends meanwhile."""
    expected, earlier = bench.choices(), bench.main()
    bench.host.openModule(next(module for module in MODULES if module != bench.case.module))
    bench.finish(expected, earlier)
    bench.host.openModule(bench.case.module)
    bench.check(expected)


def remove_inputs(bench: Bench) -> None:
    """Each input that is removed is chosen no more, and no other node or segment is chosen for it."""
    import slicer

    expected, earlier = bench.choices(), bench.main()
    for name in bench.case.inputs:
        removed = expected[name]
        if removed is None:  # the node before was the same
            continue
        slicer.mrmlScene.RemoveNode(removed)
        expected = {key: None if value is removed else value for key, value in expected.items()}
        if expected.get("segmentation", removed) is None:
            expected |= dict.fromkeys(SEGMENT_COMBOS, "")
        bench.shown = bench.shown if bench.result.shown == bench.shown else ""  # what shows the input itself is gone
        bench.check(expected)
    bench.finish(expected, earlier)


def remove_results(bench: Bench) -> None:
    """Each result that is removed is chosen no more; the inputs stay, and none is hidden without its result."""
    import slicer

    nodes_of_run = results_module().nodes_of_run
    expected, earlier = bench.choices(), bench.main()
    inputs = [expected[name] for name in bench.case.inputs]
    made = {} if earlier is None else nodes_of_run(earlier)
    for removed in [each for each in made.values() if each is not earlier] + [earlier] * bool(made):
        slicer.mrmlScene.RemoveNode(removed)
        bench.host.process(0.2)  # measurements wait for a pause
        gone = [removed] if removed is not earlier else list(made.values())
        expected = {key: None if value in gone else value for key, value in expected.items()}
        bench.shown = ""
        bench.check(expected)
    assert not made or all(visible(each) for each in inputs)
    bench.finish(expected, earlier)


def discard_result(bench: Bench) -> None:
    """As when it is removed; only the nodes of the result are."""
    import slicer

    expected, earlier = bench.choices(), bench.main()
    made = [] if earlier is None else list(results_module().nodes_of_run(earlier).values())
    inputs = [expected[name] for name in bench.case.inputs]
    others = set(slicer.util.getNodesByClass("vtkMRMLStorableNode")) - set(made)
    assert bench.result.ui.discardButton.enabled is bool(made)
    bench.result.ui.discardButton.click()
    assert others == set(slicer.util.getNodesByClass("vtkMRMLStorableNode"))
    expected = {key: None if value in made else value for key, value in expected.items()}
    bench.check(expected)
    assert not made or all(visible(each) for each in inputs)
    if bench.state != "running":
        assert bench.run.ui.applyButton.enabled, bench.run.ui.applyButton.toolTip
    bench.finish(expected, earlier)


def visible(node: Any) -> bool:
    """Whether a node is visible; those without a display are."""
    return not hasattr(node, "GetDisplayVisibility") or node.GetDisplayNode() is None or node.GetDisplayVisibility() > 0


def results_module() -> Any:
    """The library's module of results."""
    from deeprecon.scene.common import results

    return results


EVENTS = {
    event.__name__.replace("_", " "): event
    for event in (
        load_scene,
        load_another_scene,
        close_scene,
        reload_module,
        switch_module,
        remove_inputs,
        remove_results,
        discard_result,
    )
}


def check_event(bench: Bench, event: str, state: str, capfd: Any) -> None:
    """Bring the panel into the state, let the event happen, and use the panel again."""
    import slicer

    slicer.mrmlScene.Clear()
    bench.prepare(state)
    capfd.readouterr()
    EVENTS[event](bench)
    bench.host.process(0.1)
    messages = capfd.readouterr().err
    assert not re.search(r"\bERR\b|^ERROR|^Traceback", messages, re.MULTILINE), messages
    assert bench.host.slotErrors() == []
    bench.check_usable()
