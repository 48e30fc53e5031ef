"""Parameter packs: the dataclass's fields, defaults and ranges, stored in a parameter node and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
import slicer

from deeprecon.jobs.parameters import Range
from deeprecon.scar.parameters import Method, ReconstructParameters
from deeprecon.scene.nodes.parameters import from_dataclass, parameter_pack, to_dataclass


class Kind(Enum):
    PLAIN = "plain"
    FANCY = "very-fancy"


@dataclass(frozen=True)
class Everything:
    flag: Annotated[bool, "a switch"] = True
    count: Annotated[int, Range(1, 10)] = 3
    share: Annotated[float, Range(0, 1)] = 0.25
    text: str = "a b"
    kind: Kind = Kind.FANCY
    path: Path = Path("x/y")
    limit: Annotated[float | None, Range(0.5, 30, "mm")] = None
    names: tuple[str, ...] = ("a=1", "b=2,3")
    weights: Annotated[tuple[float, ...], Range(0, 1)] = ()


def wrapped(cls: type) -> Any:
    """A parameter node in the scene with the pack as its field `settings`."""
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    wrapper = parameterNodeWrapper(type("Node", (), {"__annotations__": {"settings": parameter_pack(cls)}}))
    node = slicer.util.getFirstNodeByName("settings") or slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLScriptedModuleNode", "settings"
    )
    return wrapper(node)


CHANGED = Everything(False, 7, 0.75, "c", Kind.PLAIN, Path("z"), 12.5, ("q",), (0.5, 1.0))


def test_a_new_pack_holds_the_defaults(host: Any) -> None:
    assert to_dataclass(parameter_pack(Everything)()) == Everything()
    assert to_dataclass(wrapped(Everything).settings) == Everything()


def test_values_are_stored_in_the_parameter_node(host: Any) -> None:
    node = wrapped(Everything)
    from_dataclass(node.settings, CHANGED)
    assert to_dataclass(wrapped(Everything).settings) == CHANGED
    from_dataclass(node.settings, Everything())
    assert to_dataclass(node.settings) == Everything()


def test_values_survive_saving_the_scene(host: Any, tmp_path: Path) -> None:
    from_dataclass(wrapped(Everything).settings, CHANGED)
    scene = slicer.mrmlScene
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.RemoveNode(slicer.util.getFirstNodeByName("settings"))
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    assert to_dataclass(wrapped(Everything).settings) == CHANGED


@pytest.mark.parametrize(("name", "value"), [("count", 11), ("count", 0), ("share", 1.5), ("limit", 31.0)])
def test_values_out_of_range_are_refused(host: Any, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=r"(?i)within"):
        from_dataclass(wrapped(Everything).settings, replace(Everything(), **{name: value}))


def test_packs_do_not_share_lists(host: Any) -> None:
    pack = parameter_pack(Everything)
    first, second = pack(), pack()
    first.names = ["other"]
    assert to_dataclass(second).names == ("a=1", "b=2,3")


def test_the_settings_of_the_scar_method_travel(host: Any) -> None:
    node = wrapped(ReconstructParameters)
    changed = replace(ReconstructParameters(), method=Method.INTERPOLATION, slice_thickness=8.0, labels=("scar=3,4",))
    from_dataclass(node.settings, changed)
    assert to_dataclass(node.settings) == changed
    assert not changed.validate()
