"""Checks the modules of an installed extension in the Slicer that was started with them, which exits with 0 or 1:

    Slicer --no-splash --testing --additional-module-paths FOLDER --python-script Testing/check_installed.py FOLDER

FOLDER is the extension's lib/Slicer-X.Y/qt-scripted-modules. Pictures of the panels go to DEEPRECON_SCREENSHOTS.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import slicer

MODULES = ("ScarReconstruction", "CTPASynthesis", "DWMRIEnhance")
RESOURCES = ("requirements/overlay.lock", "Bundles/ctpa-demonstrator/configs/metadata.json")


def check(folder: Path) -> None:
    """Raises where something comes from elsewhere, or is missing."""
    import deeprecon
    from deeprecon.resources import resource_path

    assert Path(deeprecon.__file__).is_relative_to(folder), f"the library comes from {deeprecon.__file__}"
    for name in RESOURCES:
        found = resource_path(*name.split("/"))
        assert found.is_relative_to(folder), f"{name} comes from {found}"
    manager = slicer.app.moduleManager()
    for name in MODULES:
        module = manager.module(name)
        assert module is not None, f"{name} was not found"
        assert Path(module.path).parent == folder, f"{name} comes from {module.path}"
        assert not module.icon.isNull(), f"{name} has no icon"
        panel = module.widgetRepresentation()  # reads the .ui files
        panel.show()
        slicer.app.processEvents()
        if pictures := os.environ.get("DEEPRECON_SCREENSHOTS"):
            panel.grab().save(str(Path(pictures) / f"installed-{name}.png"))
        panel.hide()
        print(f"{name} is complete in {module.path}")


try:
    check(Path(sys.argv[1]).resolve())
    code = 0
except BaseException:  # whatever happens, Slicer must not stay open
    traceback.print_exc()
    code = 1
slicer.util.exit(code)
