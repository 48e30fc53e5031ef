"""A stand-in may have only names of the real class, according to the list of names read from its sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NAMES = json.loads((Path(__file__).parents[1] / "slicer_api_names.json").read_text(encoding="utf-8"))


def offered(cls: type) -> set[str]:
    """Public names that the class and its bases from the host define, without overrides of Qt's own names."""
    own = {n for c in cls.__mro__ if c.__module__.startswith("slicerhost.") for n in vars(c) if not n.startswith("_")}
    qt = {n for c in cls.__mro__ if not c.__module__.startswith("slicerhost.") for n in dir(c)}
    return own - qt


def listed(cls: type, name: str) -> set[str]:
    """The list's names of the class and of its bases."""
    bases = {n for base in cls.__mro__[1:] for n in NAMES.get(base.__name__, [])}
    return set(NAMES[name]) | bases


def standIns() -> dict[str, type]:
    from slicerhost import app, iomanager, layout, parametertypes, parameterwrapper, pythonqt, sampledata, slm

    named = {
        "slicer.app": app.qSlicerApplication,
        "scripted module": app.qSlicerScriptedLoadableModule,
        "scripted module widget": app.qSlicerScriptedLoadableModuleWidget,
        "moduleManager": app.qSlicerModuleManager,
        "factoryManager": app.qSlicerModuleFactoryManager,
        "commandOptions": app.qSlicerCommandOptions,
        "coreIOManager": iomanager.qSlicerCoreIOManager,
        "layoutManager": layout.qSlicerLayoutManager,
        "parameter node": parameterwrapper._Wrapper,
        "parameter pack": parametertypes.parameterPack(type("Pack", (), {"__annotations__": {"x": int}})),
    }
    views = (
        "qMRMLSliceWidget",
        "qMRMLSliceView",
        "qMRMLThreeDWidget",
        "qMRMLThreeDView",
        "qMRMLPlotWidget",
        "qMRMLTableWidget",
    )
    named |= {name: getattr(layout, name) for name in views}
    named |= {name: getattr(slm, name) for name in slm.__all__}
    named |= {name: getattr(sampledata, name) for name in ("SampleDataLogic", "SampleDataSource")}
    return named | pythonqt.customWidgets


def test_public_names_of_stand_ins_exist_in_slicer(host: Any) -> None:
    classes = standIns()
    assert len(classes) > 30
    invented = {name: sorted(offered(cls) - listed(cls, name)) for name, cls in classes.items()}
    assert {name: names for name, names in invented.items() if names} == {}


def test_signals_of_stand_ins_exist_in_slicer(host: Any) -> None:
    for name, cls in standIns().items():
        assert set(getattr(cls, "_hostSignals", {})) <= listed(cls, name), name


def test_public_names_of_python_modules_exist_in_slicer(host: Any) -> None:
    from slicerhost.parameterwrapper import buildParameterNodeWrapperModule
    from slicerhost.pythonlayer import buildI18nModule

    for module in (buildParameterNodeWrapperModule(), buildI18nModule()):
        assert {n for n in vars(module) if not n.startswith("_")} <= set(NAMES[module.__name__])


def test_an_invented_name_is_detected(host: Any) -> None:
    import ctk

    ctk.ctkSliderWidget.setMinimum = lambda self, value: None
    try:
        assert "setMinimum" in offered(ctk.ctkSliderWidget) - listed(ctk.ctkSliderWidget, "ctkSliderWidget")
    finally:
        del ctk.ctkSliderWidget.setMinimum


def test_an_unknown_name_raises(host: Any) -> None:
    import ctk
    import qt
    import slicer

    with pytest.raises(AttributeError):
        ctk.ctkUnknownWidget  # noqa: B018
    with pytest.raises(AttributeError):
        slicer.app.unknownMethod()
    with pytest.raises(AttributeError):
        slicer.app.layoutManager().unknown  # noqa: B018
    with pytest.raises(AttributeError):
        qt.Signal  # noqa: B018
