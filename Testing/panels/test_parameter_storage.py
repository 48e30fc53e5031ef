"""The stand-in of the parameter node stores what Slicer's own code stores, for every parameter of every module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import MODULE, ROOT

MODULES = [MODULE, ROOT / "CTPASynthesis" / "CTPASynthesis.py", ROOT / "DWMRIEnhance" / "DWMRIEnhance.py"]


def parameter_class(host: Any, path: Path) -> Any:
    """The module's parameter node class on the present `slicer.parameterNodeWrapper`."""
    host.loadModule(path, show=False)
    found = getattr(sys.modules[path.stem], f"{path.stem}ParameterNode")
    host.closeModules()
    return found


def leaves(parameters: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, parameter of the stand-in), those of packs one by one."""
    from slicerhost.parametertypes import PackKind

    for name, parameter in parameters.items():
        if isinstance(parameter.kind, PackKind):
            yield from leaves(parameter.kind.type.allParameters, f"{prefix}{name}.")
        else:
            yield prefix + name, parameter


def values(parameter: Any) -> list[Any]:
    """Values that differ from each other, None where the parameter takes it."""
    import slicer
    from slicerhost.parametertypes import ListKind, NodeKind, UnionKind, WithinRange

    kind, within = parameter.kind, parameter.note(WithinRange)
    if isinstance(kind, UnionKind):
        return [value for part in kind.parts for value in values(part)]
    if isinstance(kind, ListKind):
        return [values(kind.item), []]
    if isinstance(kind, NodeKind):
        return [slicer.mrmlScene.AddNewNodeByClass(kind.type.__name__), None]
    if within is not None:
        return [within.maximum, within.minimum]
    examples = {bool: [True, False], int: [7, -7], float: [0.1, 1e-9], str: ["é\n", ""], Path: [Path("a") / "b c"]}
    return examples[kind.type] if kind.type in examples else [None] if kind.type is type(None) else list(kind.type)


def stored(node: Any) -> dict[str, str]:
    """Strings and references of a node."""
    roles = [node.GetNthNodeReferenceRole(index) for index in range(node.GetNumberOfNodeReferenceRoles())]
    references = {f"-> {role}": node.GetNodeReferenceID(role) for role in roles}
    return {name: node.GetParameter(name) for name in node.GetParameterNames()} | references


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_stand_in_and_slicer_store_and_read_the_same(host: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer
    from slicerhost.parameterwrapper import buildParameterNodeWrapperModule

    if host.core.slicerPython is None:
        pytest.skip("Slicer's own Python layer is not at hand")
    slicers = parameter_class(host, path)
    with monkeypatch.context() as patch:
        module = buildParameterNodeWrapperModule()
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(slicer, "parameterNodeWrapper", module)
        ours = parameter_class(host, path)
    assert type(slicers.allParameters["seed"]) is not type(ours.allParameters["seed"])
    nodes = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode") for _ in range(2)]
    first, second = slicers(nodes[0]), ours(nodes[1])
    assert stored(nodes[0]) == stored(nodes[1])
    changed = set()
    for name, parameter in leaves(ours.allParameters):
        for value in values(parameter):
            before = stored(nodes[0])
            first.setValue(name, value)
            second.setValue(name, value)
            assert stored(nodes[0]) == stored(nodes[1]), name
            if stored(nodes[0]) != before:
                changed.add(name)
            assert slicers(nodes[1]).getValue(name) == ours(nodes[0]).getValue(name) == value, name
    assert changed == {name for name, _ in leaves(ours.allParameters)}
