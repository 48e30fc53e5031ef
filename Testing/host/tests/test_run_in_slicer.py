"""Tests run by the application that is there already, as Testing/run_in_slicer.py runs them in a real Slicer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODULES = [ROOT / name for name in ("ScarReconstruction", "CTPASynthesis", "DWMRIEnhance")]
RUN = f"""
import runpy
import sys

sys.modules["slicerhost"] = None  # a real Slicer has none: who starts the stand-in fails
runpy.run_path({str(ROOT / "Testing" / "run_in_slicer.py")!r}, run_name="__main__")
"""


def run_in_slicer(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "run.py"
    script.write_text(RUN, encoding="utf-8")
    options = ("--no-splash", "--testing", "--additional-module-paths", *map(str, MODULES))
    return subprocess.run(
        [sys.executable, "-m", "slicerhost", *options, "--python-script", str(script), *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "Testing" / "host"), str(ROOT / "Logic")]),
            "QT_QPA_PLATFORM": "offscreen",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_tests_of_nodes_and_of_panels_use_the_running_application(tmp_path: Path) -> None:
    tests = (
        "unit/scene/test_volumes.py::test_a_rerun_replaces_the_image_of_the_node",
        "panels/test_run_panel.py::test_a_run_reports_progress_curves_and_its_result",
        "panels/test_scar_module.py::test_the_panel_stays_linked_after_leaving_and_entering_it",
        "panels/test_scar_module.py::test_repeat_is_refused_without_a_result",
        "panels/test_batch.py::test_the_script_ends_at_its_time_limit",
    )
    done = run_in_slicer(tmp_path, *tests, DEEPRECON_SCREENSHOTS=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in Slicer 5.12.0, Qt 6" in done.stdout
    assert "panels/test_batch.py" in done.stdout
    assert "starts the stand-in of Slicer" in done.stdout
    assert "4 passed, 1 skipped" in done.stdout


def test_a_failing_test_is_the_exit_code_of_the_application(tmp_path: Path) -> None:
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n", encoding="utf-8")
    done = run_in_slicer(tmp_path, str(tmp_path / "test_wrong.py"))
    assert done.returncode == 1, done.stdout + done.stderr


def test_without_pytest_the_test_counts_as_skipped(tmp_path: Path) -> None:
    (tmp_path / "pytest_timeout.py").write_text("", encoding="utf-8")
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text(
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'pytest' else found(name, *rest)\n",
        encoding="utf-8",
    )
    folders = os.pathsep.join(map(str, (tmp_path, ROOT / "Testing" / "host", ROOT / "Logic")))
    done = run_in_slicer(tmp_path, PYTHONPATH=folders)
    assert done.returncode == 77, done.stdout + done.stderr
    assert "pytest not installed" in done.stdout
