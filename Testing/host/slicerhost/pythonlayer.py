"""The Python half of the package `slicer`: Slicer's own, from its sources, where they are at hand, else stand-ins."""

from __future__ import annotations

import importlib
import os
import sys
import types
from pathlib import Path

OWN = "own"
BESIDE = Path(__file__).resolve().parents[4] / "shared" / "slicer-python"
LIBRARIES = {"MRMLCorePython": "MRMLCore", "SlicerBaseLogicPython": "vtkSlicerBaseLogic"}
"""Slicer's name of a wrapped library -> its name in slicer-core."""


def folder() -> Path | None:
    """Where Slicer's own package `slicer` lies (`Base/Python` of its sources); None: stand-ins are used.

    It is the environment variable SLICER_PYTHON, else ../shared/slicer-python beside the project, where that exists.
    SLICER_PYTHON=own asks for the stand-ins.

    Raises:
        FileNotFoundError: SLICER_PYTHON names a folder without that package.
    """
    given = os.environ.get("SLICER_PYTHON", "")
    path = Path(given or BESIDE)
    if given == OWN or not (given or path.is_dir()):
        return None
    if not (path / "slicer" / "parameterNodeWrapper").is_dir():
        raise FileNotFoundError(f"{path} holds no slicer/parameterNodeWrapper; SLICER_PYTHON names another folder")
    return path


def use(path: Path | None) -> None:
    """Puts Slicer's package in front of slicer-core's, and its `slicer.util`, which needs no Qt, in its place."""
    if path is None:
        return
    import slicer
    import slicer_core

    for name, library in LIBRARIES.items():
        sys.modules[name] = getattr(slicer_core, library)
    slicer.__path__.insert(0, str(path / "slicer"))
    del sys.modules["slicer.util"]
    importlib.import_module("slicer.util")


def useQtHalf(path: Path | None) -> None:
    """Imports or makes the parts that need `qt`, `ctk` and the widgets, which have to be there."""
    if path is not None:
        for name in ("i18n", "packaging", "ScriptedLoadableModule", "parameterNodeWrapper"):
            importlib.import_module(f"slicer.{name}")
        return

    from . import slm
    from .parameterwrapper import buildParameterNodeWrapperModule

    setSubmodule("i18n", buildI18nModule())
    setSubmodule("ScriptedLoadableModule", slm)
    setSubmodule("parameterNodeWrapper", buildParameterNodeWrapperModule())


def setSubmodule(name: str, module: types.ModuleType) -> None:
    """Makes it `slicer.<name>`."""
    sys.modules[f"slicer.{name}"] = module
    setattr(sys.modules["slicer"], name, module)


def buildI18nModule() -> types.ModuleType:
    """The stand-in of `slicer.i18n`: all texts stay English."""
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text: text
    return i18n
