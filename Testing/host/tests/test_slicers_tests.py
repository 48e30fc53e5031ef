"""Slicer's own tests of its Python layer, run on the host in reference mode."""

from __future__ import annotations

import importlib.util
import os
import sys
import unittest
from typing import Any

import pytest
from slicerhost import pythonlayer

LAYER = pythonlayer.folder()
FILES = [] if LAYER is None else sorted((LAYER / "slicer" / "tests").glob("test_*.py"))

NO_DATA = "needs data that Slicer's own test driver downloads before"
NO_PYTHON = "needs the executable PythonSlicer"
NO_HIERARCHY = "needs a subject hierarchy widget, of which the host has none"
FAILING = {
    "SlicerEnvironmentTests.test_slicer_app_environment": "expects the folder of a build of Slicer on the path",
    "SlicerUtilLoadSaveMGHTests.test_saveLongCompressedNode": NO_DATA,
    "SlicerUtilLoadSaveMGHTests.test_saveShortCompressedNode": NO_DATA,
    "SlicerUtilLoadSaveMGHTests.test_saveUnCompressedNode": NO_DATA,
    "SlicerUtilLoadSaveMINCTests.test_saveMINCNode": NO_DATA,
    "SlicerUtilSaveTests.test_saveNode": NO_DATA,
    "SlicerUtilSaveTests.test_saveSceneAsDirectory": "the host saves scenes as .mrml and .mrb only",
    "SlicerUtilChdirTests.test_reentrant": "expects the folders of an installed Slicer around the package",
    "PipInstallNonBlockingTest.test_blocking_mode_unchanged": NO_PYTHON,
    "PipInstallNonBlockingTest.test_nonblocking_returns_immediately": NO_PYTHON,
    "PipUninstallNonBlockingTest.test_nonblocking_with_nonexistent_package": NO_PYTHON,
    "ParameterNodeWrapperGuiTest.test_ctkColorPickerButtonToQColor": "color.name(1): no number is an enum in PySide6",
    "ParameterNodeWrapperGuiTest.test_qMRMLSubjectHierarchyComboBox": NO_HIERARCHY,
    "ParameterNodeWrapperGuiTest.test_qMRMLSubjectHierarchyTreeViewToNode": NO_HIERARCHY,
}
"""Tests that fail on the host, and why."""
LEFT_OUT = {
    "SlicerUtilLoadDataTests.test_loadFiberBundle": "downloads data",
    "GetInstalledVersionsSubprocessTest.test_get_installed_versions_sees_newly_installed_package": "installs a package",
}
"""Tests that are not run, and why."""


def by_name(suite: unittest.TestSuite) -> dict[str, unittest.TestCase]:
    """Class.method -> test."""
    found = {}
    for each in suite:
        found |= by_name(each) if isinstance(each, unittest.TestSuite) else {each.id().split(".", 1)[1]: each}
    return found


@pytest.mark.skipif(LAYER is None, reason="Slicer's own Python layer is not at hand")
def test_slicers_own_tests_pass_on_the_host(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer

    monkeypatch.setenv("PATH", os.defpath)  # without a Slicer that is installed here
    for name in ("qMRMLSubjectHierarchyComboBox", "qMRMLSubjectHierarchyTreeView"):
        monkeypatch.setattr(slicer, name, None, raising=False)
    result, names = unittest.TestResult(), set()
    for file in FILES:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, file.stem, module)
        spec.loader.exec_module(module)
        tests = by_name(unittest.defaultTestLoader.loadTestsFromModule(module))
        names |= set(tests)
        unittest.TestSuite(test for name, test in tests.items() if name not in LEFT_OUT).run(result)
        slicer.mrmlScene.Clear()
    failed = {test.id().split(".", 1)[1]: text for test, text in (*result.failures, *result.errors)}
    assert "\n".join(text for name, text in failed.items() if name not in FAILING) == ""
    assert set(failed) == set(FAILING)
    assert names >= set(LEFT_OUT)
    assert result.testsRun > 200
