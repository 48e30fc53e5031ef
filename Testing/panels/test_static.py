"""The panels' .ui files and the code agree, and use only names that Slicer has."""

from __future__ import annotations

import ast
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from deeprecon.jobs.parameters import fields_of
from deeprecon.scar.parameters import ReconstructParameters

from .conftest import MODULE, ROOT

PANELS = ROOT / "Logic" / "deeprecon" / "panels"
SHARED_UI = ROOT / "Logic" / "deeprecon" / "Resources" / "UI"
DWMRI = ROOT / "DWMRIEnhance" / "DWMRIEnhance.py"
CTPA = ROOT / "CTPASynthesis" / "CTPASynthesis.py"
PAIRS = [
    (CTPA, CTPA.parent / "Resources" / "UI" / "CTPASynthesis.ui"),
    (PANELS / "common/image_widget.py", CTPA.parent / "Resources" / "UI" / "CTPASynthesis.ui"),
    (PANELS / "common/image_widget.py", DWMRI.parent / "Resources" / "UI" / "DWMRIEnhance.ui"),
    (PANELS / "ctpa/ct_panel.py", SHARED_UI / "CtPanel.ui"),
    (PANELS / "ctpa/atlas_panel.py", CTPA.parent / "Resources" / "UI" / "CTPASynthesis.ui"),
    (DWMRI, DWMRI.parent / "Resources" / "UI" / "DWMRIEnhance.ui"),
    (PANELS / "dwmri/compare_panel.py", SHARED_UI / "ComparePanel.ui"),
    (MODULE, MODULE.parent / "Resources" / "UI" / "ScarReconstruction.ui"),
    (PANELS / "common/training_panel.py", SHARED_UI / "TrainingPanel.ui"),
    (PANELS / "common/example_table.py", SHARED_UI / "ExampleTable.ui"),
    (PANELS / "common/run_panel.py", SHARED_UI / "RunPanel.ui"),
    (PANELS / "computer/device_panel.py", SHARED_UI / "DevicePanel.ui"),
    (PANELS / "common/bundle_panel.py", SHARED_UI / "BundlePanel.ui"),
    (PANELS / "common/result_panel.py", SHARED_UI / "ResultPanel.ui"),
    (PANELS / "scar/tables_panel.py", SHARED_UI / "ScarTablesPanel.ui"),
]
BY_VARIABLE = {
    PANELS / "ctpa/widgets.py": {"label": "QLabel", "_text": "QLabel", "side": "QLabel"},
    PANELS / "ctpa/ct_panel.py": {"button": "QPushButton"},
    PANELS / "dwmri/widgets.py": {"_label": "QLabel"},
    PANELS / "common/method_widget.py": {"combo": "QComboBox"},
    PANELS / "common/result_panel.py": {"combo": "QComboBox"},
    PANELS / "common/example_table.py": {"table": "QTableWidget", "edit": "ctkPathLineEdit"},
    PANELS / "common/setting_widgets.py": {"combo": "QComboBox", "spin": "QDoubleSpinBox"},
    PANELS / "scar/tables_panel.py": {"section": "ctkCollapsibleButton", "table": "qMRMLTableView"},
    PANELS / "scar/widgets.py": {
        "combo": "QComboBox",
        "_combo": "QComboBox",
        "spinBox": "QDoubleSpinBox",
        "_spinBox": "QDoubleSpinBox",
        "edit": "QLineEdit",
        "_edit": "QLineEdit",
    },
}
"""Variables that hold widgets out of a .ui file, and their classes."""
NO_DESIGNER_PLUGIN = {"qMRMLPlotView", "qMRMLThreeDWidget", "qMRMLTableWidget"}
"""Classes that Slicer's loader of .ui files cannot make: they have to be made in code."""
NAMES: dict[str, list[str]] = json.loads(
    (ROOT / "Testing" / "host" / "slicer_api_names.json").read_text(encoding="utf-8")
)


def widgets(path: Path) -> dict[str, str]:
    """Widget name -> class of a .ui file."""
    return {widget.get("name", ""): widget.get("class", "") for widget in ET.parse(path).iter("widget")}


@pytest.mark.parametrize("path", [path for _, path in PAIRS], ids=lambda path: path.stem)
def test_no_two_widgets_lie_in_the_same_place(path: Path):
    for layout in ET.parse(path).iter("layout"):
        taken: set[tuple[int, int]] = set()
        for item in layout.findall("item[@row]"):
            row, column, rows, columns = (
                int(item.get(name, usual))
                for name, usual in (("row", 0), ("column", 0), ("rowspan", 1), ("colspan", 1))
            )
            places = {(row + down, column + right) for down in range(rows) for right in range(columns)}
            assert not places & taken, f"{layout.get('name')}, row {row}"
            taken |= places


def uses(path: Path) -> set[tuple[str, str]]:
    """(widget, attribute) pairs that a file reads or sets through `self.ui` or a local `ui`; attribute "" for none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_ui(node.value):
            found.add((node.attr, ""))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and _is_ui(node.value.value):
            found.add((node.value.attr, node.attr))
    return found


def _is_ui(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "ui"
    return isinstance(node, ast.Attribute) and node.attr == "ui" and isinstance(node.value, ast.Name)


@pytest.mark.parametrize(("code", "ui"), PAIRS, ids=lambda path: path.name)
def test_every_widget_that_the_code_uses_is_in_the_ui_file(code: Path, ui: Path) -> None:
    used = {name for name, _ in uses(code)}
    assert used
    assert used <= set(widgets(ui))


@pytest.mark.parametrize(("code", "ui"), PAIRS, ids=lambda path: path.name)
def test_every_attribute_used_on_a_widget_exists_in_slicer_or_qt(host: Any, code: Path, ui: Path) -> None:
    classes = widgets(ui)
    bases = {entry.findtext("class"): entry.findtext("extends") for entry in ET.parse(ui).iter("customwidget")}
    for name, attribute in uses(code):
        if attribute:
            kind = classes[name]
            known = set(NAMES.get(kind, ())) | qt_names(bases.get(kind) or kind)
            assert attribute in known, f"{kind} {name} has no {attribute}"


@pytest.mark.parametrize("code", BY_VARIABLE, ids=lambda path: path.name)
def test_every_attribute_used_on_a_variable_that_holds_a_widget_exists_in_slicer_or_qt(host: Any, code: Path) -> None:
    found = set()
    for node in ast.walk(ast.parse(code.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            variable = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if kind := BY_VARIABLE[code].get(variable):
                found.add(variable)
                base = "QTableView" if kind == "qMRMLTableView" else kind if kind.startswith("Q") else "QWidget"
                assert node.attr in set(NAMES.get(kind, ())) | qt_names(base), f"{kind} {variable} has no {node.attr}"
    assert found == set(BY_VARIABLE[code])


def qt_names(kind: str) -> set[str]:
    from PySide6 import QtWidgets

    cls = getattr(QtWidgets, kind)
    meta = cls.staticMetaObject
    properties = {meta.property(index).name() for index in range(meta.propertyCount())}
    return properties | set(QtWidgets.QWidget.__dict__) | {name for base in cls.__mro__ for name in vars(base)}


@pytest.mark.parametrize("ui", [ui for _, ui in PAIRS], ids=lambda path: path.name)
def test_ui_files_use_known_classes_and_hand_the_scene_on(ui: Path) -> None:
    from PySide6 import QtWidgets

    tree = ET.parse(ui)
    top = tree.find("widget")
    assert top is not None
    wired = {entry.findtext("receiver") for entry in tree.iter("connection")}
    for name, kind in widgets(ui).items():
        assert hasattr(QtWidgets, kind) or kind in NAMES, f"{name} is a {kind}"
        assert kind not in NO_DESIGNER_PLUGIN, f"Slicer makes a mere QWidget of the {kind} {name}"
        if name != top.get("name") and "setMRMLScene" in NAMES.get(kind, ()):
            assert top.get("class") == "qMRMLWidget"
            assert name in wired


def test_linked_widgets_name_fields_of_the_parameter_node(host: Any) -> None:
    import importlib

    host.loadModule(MODULE, show=False)
    node = importlib.import_module("ScarReconstruction").ScarReconstructionParameterNode
    ui = MODULE.parent / "Resources" / "UI" / "ScarReconstruction.ui"
    entries = [entry for entry in ET.parse(ui).iter("property") if entry.get("name") == "SlicerParameterName"]
    linked = [entry.findtext("string", "") for entry in entries]
    assert len(linked) == len(set(linked))
    for name in linked:
        assert node.dataType(name)
    direct = {name for name in linked if "." not in name}
    # chosen through boxes that hold segment IDs, or set by a run
    by_code = {"myocardiumSegment", "scarSegment", "noReflowSegment", "remoteSegment", "knownSegments", "settings"}
    by_run = {"outputSegmentation", "outputTable", "outputSlices", "outputCheck", "outputActivation"}
    assert direct | by_code | by_run == set(node.allParameters)


def test_options_in_messages_of_a_job_become_the_labels_of_the_controls_that_do_the_same(host: Any) -> None:
    widget = host.loadModule(MODULE)
    options = {field.name.replace("_", "-") for field in fields_of(ReconstructParameters)}
    without_control = {"patience"}
    assert options - set(widget.runPanel._callbacks.controls) == without_control
    text = "Name them with --mesh-region, --tag-array or --shell max; see --labels, --node-spacing and --no-scar."
    assert widget.runPanel.words(text) == (
        'Name them with "Regions of the wall", "Array of region tags" or "A surface shows" max; see "Scar", '
        '"Element size" and "Scar comes from".'
    )
    diffusion = host.loadModule(DWMRI).runPanel
    assert diffusion.words("Leave it out with --exclude.") == 'Leave it out with "Volumes to leave out".'
    assert diffusion.words("See --b0-threshold and --repair.") == (
        'See "b0 up to" and "Replace slices that are lost or corrupted".'
    )


@pytest.mark.parametrize("path", [MODULE, DWMRI, CTPA, *sorted(PANELS.rglob("*.py"))], ids=lambda path: path.name)
def test_nothing_heavy_is_imported_at_file_scope(path: Path) -> None:
    heavy = {"torch", "nibabel", "SimpleITK", "matplotlib", "jsonargparse", "safetensors", "scipy", "pydicom"}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & heavy


def test_the_module_has_title_category_and_help(host: Any) -> None:
    instance = host.loadModule(MODULE, show=False)
    parent = instance.parent
    assert parent.title == "Scar Reconstruction"
    assert list(parent.categories) == ["Cardiac"]
    assert "research use only" in parent.helpText
    assert parent.acknowledgementText
    assert parent.contributors
    assert len(MODULE.read_text(encoding="utf-8").splitlines()) < 400
