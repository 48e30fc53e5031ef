"""The bundle panel shows the card of a model, and why a folder cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bundle(host: Any) -> Any:
    import qt

    from deeprecon.panels.bundle_panel import BundlePanel

    window = qt.QWidget()
    window.setLayout(qt.QVBoxLayout())
    made = BundlePanel(window.layout(), "scar", lambda: None)
    made.window = window
    return made


def test_a_folder_that_is_no_bundle_is_refused_in_words(bundle: Any, tmp_path: Path) -> None:
    bundle.ui.folderEdit.currentPath = str(tmp_path)
    assert bundle.bundle is None
    assert bundle.ui.messageLabel.text
    assert not bundle.ui.cardText.isVisibleTo(bundle.widget)


def test_the_card_of_a_bundle_is_shown_if_it_is_for_this_method(
    bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deeprecon.training.bundle import Bundle

    card = {"name": "Test model", "license": "Apache-2.0", "valid_for": "left ventricles"}

    def read(folder: Path) -> Bundle:
        return Bundle(folder, folder.name, "field", {}, (), "0" * 64, card)

    monkeypatch.setattr("deeprecon.panels.bundle_panel.read_bundle", read)
    bundle.ui.folderEdit.currentPath = str(tmp_path / "scar")
    assert bundle.bundle is not None
    text = bundle.ui.cardText.toPlainText()
    assert "Test model" in text
    assert "Apache-2.0" in text
    assert "not for diagnosis" in text
    bundle.ui.folderEdit.currentPath = str(tmp_path / "dwmri")
    assert bundle.bundle is None
    assert "for dwmri" in bundle.ui.messageLabel.text
