"""Every control of the three panels: names, tool tips, keyboard, room on a laptop, and colors of both styles."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from .conftest import press
from .test_static import CTPA, DWMRI, MODULE, PANELS, SHARED_UI

MODULES = (MODULE, CTPA, DWMRI)
BY_MODULE = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
UI_FILES = [*(path.parent / "Resources" / "UI" / f"{path.stem}.ui" for path in MODULES), *SHARED_UI.glob("*.ui")]
CONTROLS = {
    "QPushButton", "QCheckBox", "QComboBox", "QSpinBox", "QDoubleSpinBox", "QLineEdit", "QPlainTextEdit",
    "QTextBrowser", "QTableWidget", "QProgressBar", "ctkCollapsibleButton", "ctkPathLineEdit", "ctkSliderWidget",
    "qMRMLNodeComboBox", "qMRMLTableView",
}  # fmt: skip
SCREENS = {"1366x768 at 100 %": 768, "1920x1080 at 100 %": 1080, "1920x1080 at 150 %": 720}
"""Screen -> its height in logical pixels."""
PICTURES = {"previewLabel", "projectionLabel", "bullseyeLabel"}


def controls(widget: Any) -> Iterator[Any]:
    """The controls of a panel in the order of its layouts, those of collapsed and hidden parts included."""
    kind = type(widget).__name__
    if kind in CONTROLS:
        yield widget
    if widget.layout() is not None and (kind not in CONTROLS or kind == "ctkCollapsibleButton"):
        yield from in_layout(widget.layout(), [child for child in widget.children() if child.isWidgetType()])


def in_layout(layout: Any, widgets: list[Any]) -> Iterator[Any]:
    for part in sorted((*widgets, *layout.children()), key=layout.indexOf):
        if layout.indexOf(part) >= 0:
            yield from controls(part) if part.isWidgetType() else in_layout(part, widgets)


def panel_of(host: Any, path: Path) -> tuple[Any, Any]:
    """The Widget object and the widget of its panel."""
    widget = host.loadModule(path)
    return widget, widget.parent


def expand(panel: Any) -> None:
    for each in controls(panel):
        if type(each).__name__ == "ctkCollapsibleButton":
            each.collapsed = False


def text_of(control: Any) -> str:
    """What is written on a control that bears its own name."""
    own = type(control).__name__ in ("QPushButton", "QCheckBox", "ctkCollapsibleButton")
    return str(control.text) if own else ""


def top(panel: Any, widget: Any) -> int:
    import qt

    return int(widget.mapTo(panel, qt.QPoint(0, 0)).y())


@BY_MODULE
def test_every_control_has_a_tool_tip_and_an_accessible_name(host: Any, probed: Any, path: Path) -> None:
    _, panel = panel_of(host, path)
    found = list(controls(panel))
    assert len(found) > 50
    for each in found:
        name = each.objectName or text_of(each)
        assert each.toolTip, f"{type(each).__name__} {name} has no tool tip"
        assert each.accessibleName or text_of(each), f"{type(each).__name__} {name} has no name for a screen reader"


@BY_MODULE
def test_the_tab_key_visits_the_controls_from_top_to_bottom(host: Any, probed: Any, path: Path) -> None:
    import qt
    from slicerhost.picture import panelPicture

    _, panel = panel_of(host, path)
    expand(panel)
    panelPicture(panel)
    visited, each = [], panel.nextInFocusChain()
    while each is not panel:
        if each.focusPolicy != qt.Qt.NoFocus and each.isVisible() and each.window() is panel.window():
            visited.append(each)
        each = each.nextInFocusChain()
    start = next(index for index, each in enumerate(visited) if each.objectName == "inputsCollapsibleButton")
    places = [(top(panel, each), each) for each in [*visited[start:], *visited[:start]]]
    for (above, first), (below, second) in pairwise(places):
        assert below + second.height > above, f"{second.objectName} after {first.objectName}"


@BY_MODULE
def test_inputs_apply_progress_and_cancel_are_seen_without_scrolling_on_a_laptop(
    host: Any, probed: Any, path: Path
) -> None:
    from slicerhost.picture import PANEL_WIDTH, panelHeight, panelPicture

    from deeprecon.panels.common.run_panel import RunState

    widget, panel = panel_of(host, path)
    press(host, widget.ui.sampleButton)
    ui = widget.runPanel.ui
    seen = [each for each in controls(widget.ui.inputsCollapsibleButton) if each.isVisible()]
    assert len(seen) >= 5
    for state in (RunState.IDLE, RunState.RUNNING):
        widget.runPanel._setState(state)
        panelPicture(panel)
        running = [ui.progressBar, ui.finishButton, ui.stageLabel] if state is RunState.RUNNING else [ui.estimateLabel]
        lowest = max(top(panel, each) + each.height for each in [*seen, ui.applyButton, *running])
        for screen, height in SCREENS.items():
            assert lowest <= panelHeight(height), screen
        advanced = top(panel, ui.applyButton)
        for section in widget.ui.inputsCollapsibleButton.parent().children():
            if type(section).__name__ == "ctkCollapsibleButton" and top(panel, section) > advanced:
                assert section.collapsed, section.objectName
    widget.runPanel._setState(RunState.IDLE)
    assert panel.minimumSizeHint.width() <= PANEL_WIDTH


@BY_MODULE
def test_one_line_says_what_to_do_next_until_the_first_result(host: Any, probed: Any, path: Path) -> None:
    from deeprecon.panels.common.run_panel import RunState

    widget, _ = panel_of(host, path)
    label = widget.runPanel.ui.estimateLabel
    assert label.text.startswith("Next: Choose")
    assert "load the sample" in label.text
    press(host, widget.ui.sampleButton)
    assert label.text.startswith("Next: Press Apply.")
    widget.runPanel._setState(RunState.DONE)
    assert "Next" not in label.text


@BY_MODULE
def test_nothing_is_squeezed_or_cut_with_all_sections_open(host: Any, probed: Any, path: Path) -> None:
    from slicerhost.picture import PANEL_WIDTH, panelPicture

    _, panel = panel_of(host, path)
    expand(panel)
    panelPicture(panel)
    assert panel.width == PANEL_WIDTH
    for each in controls(panel):
        if each.isVisible():
            least = each.minimumSizeHint() if callable(each.minimumSizeHint) else each.minimumSizeHint
            assert each.width >= least.width(), f"{each.objectName}: {each.width} of {least.width()} pixels across"
            assert each.height >= least.height(), f"{each.objectName}: {each.height} of {least.height()} pixels down"


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_labels_whose_text_is_set_by_code_say_whether_it_is_plain_or_html(path: Path) -> None:
    """Qt guesses otherwise, and shows the entity of a sign in a text without tags as it is written."""
    for widget in ET.parse(path).iter("widget"):
        properties = {each.get("name"): each for each in widget.findall("property")}
        text = "".join(properties["text"].itertext()) if "text" in properties else ""
        if widget.get("class") == "QLabel" and not text and widget.get("name") not in PICTURES:
            assert "textFormat" in properties, widget.get("name")


def test_colors_are_those_of_the_style() -> None:
    for path in [*PANELS.rglob("*.py"), *UI_FILES, *MODULES]:
        text = path.read_text(encoding="utf-8")
        if path.name != "status_colors.py":
            assert not re.search(r"#[0-9a-fA-F]{6}\b|background-color|color: [a-z]", text), path.name


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_colored_words_can_be_read_in_both_styles(host: Any, dark: bool) -> None:
    import qt

    from deeprecon.panels.screen.status_colors import BAD, CAUTION, GOOD, statusColor

    host.setStyle(dark)
    label = qt.QLabel("text")
    background = label.palette.color(qt.QPalette.Window)
    for level in (GOOD, CAUTION, BAD):
        assert contrast(qt.QColor(statusColor(label, level)), background) >= 4.5, level
    host.setStyle(False)


def contrast(first: Any, second: Any) -> float:
    """Of two colors, as WCAG 2 defines it."""

    def luminance(color: Any) -> float:
        parts = [channel / 255 for channel in (color.red(), color.green(), color.blue())]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, bright = sorted((luminance(first), luminance(second)))
    return (bright + 0.05) / (dark + 0.05)
