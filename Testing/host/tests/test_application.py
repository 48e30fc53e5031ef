"""The application's services, its command line and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOST = Path(__file__).parents[1]
TEMPLATE = Path(__file__).parent / "template"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HOST)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


def script(tmp_path: Path, text: str) -> str:
    (tmp_path / "script.py").write_text(text, encoding="utf-8")
    return str(tmp_path / "script.py")


def test_modules_and_logics_are_found_by_name(host: Any) -> None:
    import slicer

    widget = host.loadModule(TEMPLATE / "Threshold.py")
    assert slicer.util.getModuleWidget("Threshold") is widget
    assert slicer.util.getModuleLogic("Threshold") is widget.logic
    assert slicer.util.modulePath("Threshold") == str(TEMPLATE / "Threshold.py")
    assert slicer.modules.threshold.title == "Threshold"
    assert slicer.modules.segmentations.logic() is not None
    assert "Threshold" in slicer.util.moduleNames()
    host.closeModules()
    assert not hasattr(slicer.modules, "threshold")
    assert "Threshold" not in sys.modules


def test_a_module_can_be_reloaded(host: Any) -> None:
    import slicer

    before = host.loadModule(TEMPLATE / "Threshold.py")
    before.onReload()
    after = slicer.util.getModuleWidget("Threshold")
    assert after is not before
    assert slicer.modules.ThresholdWidget is after
    assert before._parameterNode is None  # cleanup() was called


def test_settings_are_kept_for_the_test_only(host: Any) -> None:
    import qt
    import slicer

    slicer.app.settings().setValue("DeepRecon/device", "cpu")
    assert slicer.util.settingsValue("DeepRecon/device", "auto") == "cpu"
    host.reset()
    assert slicer.util.settingsValue("DeepRecon/device", "auto") == "auto"
    assert qt.QSettings().fileName().startswith(slicer.app.temporaryPath)


def test_dialogs_do_not_open_while_testing(host: Any) -> None:
    import slicer

    slicer.util.errorDisplay("nothing opens")
    with pytest.raises(KeyError), slicer.util.tryWithErrorDisplay("failed"):
        raise KeyError


def test_a_sample_is_made_by_its_downloader_from_the_panel_only(host: Any) -> None:
    import SampleData

    made: list[Any] = []
    logic = SampleData.SampleDataLogic()
    source = {"sampleName": "Sample", "uris": ["generated"], "fileNames": ["sample"], "customDownloader": made.append}
    for _ in range(2):
        logic.registerCustomSampleDataSource(category="DeepRecon", **source)
    assert len(logic.sampleDataSourcesByCategory("DeepRecon")) == 1
    host.clickSample("Sample")
    assert [source.sampleName for source in made] == ["Sample"]
    with pytest.raises(RuntimeError, match="network"):
        logic.downloadSample("Sample")
    with pytest.raises(KeyError):
        host.clickSample("Other")
    for wrong in ({"uris": None}, {"fileNames": None}, {"nodeNames": ["a", "b"]}):
        with pytest.raises(ValueError, match="sample data source"):
            logic.registerCustomSampleDataSource(category="DeepRecon", **{**source, **wrong})


def test_wait_for_raises_after_the_timeout(host: Any) -> None:
    with pytest.raises(AssertionError, match="within"):
        host.waitFor(lambda: False, timeout=0.05)


def test_a_script_ends_with_its_exit_code(tmp_path: Path) -> None:
    text = (
        "import sys, qt, slicer\nassert slicer.app.layoutManager() is None\n"
        "print(sys.argv[1:], slicer.modules.threshold.name)\n"
        "qt.QTimer.singleShot(10, lambda: slicer.util.exit(7))\n"
    )
    options = ("--no-main-window", "--additional-module-paths", str(TEMPLATE), "--python-script")
    result = run("-m", "slicerhost", *options, script(tmp_path, text), "--a", "é")
    assert (result.returncode, result.stdout.strip()) == (7, "['--a', 'é'] Threshold")


def test_a_failing_script_ends_the_process_when_testing(tmp_path: Path) -> None:
    result = run("-m", "slicerhost", "--testing", "--python-script", script(tmp_path, "raise KeyError('lost')"))
    assert result.returncode == 1
    assert "lost" in result.stderr


def test_the_application_signals_its_end_and_exits_with_0(tmp_path: Path) -> None:
    text = (
        "import slicerhost\nhost = slicerhost.start()\nimport slicer\n"
        "slicer.app.connect('aboutToQuit()', lambda: print('about to quit'))\n"
        f"host.loadModule({str(TEMPLATE / 'Threshold.py')!r})\n"
        f"host.desktop({str(tmp_path / 'window.png')!r})\nhost.close()\nhost.core.close()\n"
    )
    result = run("-c", text)
    assert (result.returncode, result.stdout.strip()) == (0, "about to quit")


def test_the_scene_fixture_may_come_before_and_after_the_host_fixture(tmp_path: Path) -> None:
    """The other order is this test run's own."""
    bodies = {
        "scene": "    assert not hasattr(slicer, 'app')\n",
        "host": "    assert slicer.app.layoutManager() is not None\n",
    }
    both = "    assert slicer.mrmlScene.GetNumberOfNodesByClass('vtkMRMLTextNode') == 0\n"
    both += "    slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode')\n"
    order = ("scene", "host", "scene")
    tests = [f"def test_{i}({name}):\n    import slicer\n{bodies[name]}{both}" for i, name in enumerate(order)]
    (tmp_path / "conftest.py").write_text((HOST.parent / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_order.py").write_text("".join(tests), encoding="utf-8")
    result = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert result.returncode == 0, result.stdout
    assert "3 passed" in result.stdout
