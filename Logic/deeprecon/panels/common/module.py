"""Shared parts of the modules besides widget and logic: description, sample data, self-test."""

from __future__ import annotations

import logging
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from deeprecon.panels.computer.device_panel import userOverlay
from deeprecon.panels.computer.installation import torchVersion
from deeprecon.scene.display.layouts import register_layouts


def describeModule(parent: Any, title: str, category: str, text: str) -> None:
    """Set what Slicer shows about a module, and have the layouts of results known once the application has started.

    Args:
        parent: the module's qSlicerScriptedLoadableModule.
        title: of the module.
        category: of the module, one of Slicer's own, untranslated.
        text: what the module does; the research notice and the link are added.
    """
    parent.title = title
    parent.categories = [translate("qSlicerAbstractCoreModule", category)]
    parent.dependencies = []
    parent.contributors = ["DeepRecon contributors"]
    parent.helpText = text + _(
        " <b>For research use only, not for diagnosis.</b> "
        'See the <a href="https://github.com/DeepRecon/DeepRecon">documentation</a>.'
    )
    slicer.app.connect("startupCompleted()", register_layouts)
    parent.acknowledgementText = _("Part of the DeepRecon extension, licensed under Apache 2.0.")


def registerSample(moduleFile: str, name: str, nodeName: str, load: Callable[[], Any]) -> None:
    """Add a sample to the Sample Data module; it is generated and needs no network.

    Args:
        moduleFile: path of the module's .py file; the sample gets the icon of the module.
        name: of the sample.
        nodeName: of its first node.
        load: generates the sample and loads it; returns its nodes.
    """
    import SampleData

    module = Path(moduleFile)
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="DeepRecon",
        sampleName=name,
        uris=["generated"],
        fileNames=["sample"],
        nodeNames=[nodeName],
        thumbnailFileName=str(module.parent / "Resources" / "Icons" / f"{module.stem}.png"),
        customDownloader=lambda source=None: load(),
    )


class MethodTest(ScriptedLoadableModuleTest):  # type: ignore[misc]
    """Base of a module's self-test, for Slicer and for its stand-in; needs no network."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests; those that need PyTorch are skipped without it."""
        for name in unittest.defaultTestLoader.getTestCaseNames(type(self)):
            self.setUp()
            try:
                getattr(self, name)()
            except unittest.SkipTest as reason:
                logging.warning("%s skipped: %s", name, reason)

    def requireTorch(self) -> None:
        """Skip the test where PyTorch is not installed."""
        if torchVersion(userOverlay().folder) is None:
            self.skipTest("PyTorch is not installed")
