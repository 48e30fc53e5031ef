"""The bundle panel shows the card of a model, and why a folder cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bundle(host: Any) -> Any:
    import qt

    from deeprecon.panels.common.bundle_panel import BundlePanel

    window = qt.QWidget()
    window.setLayout(qt.QVBoxLayout())
    made = BundlePanel(window.layout(), "scar", lambda: None)
    made.window = window
    return made


def test_a_folder_that_is_no_bundle_is_refused(bundle: Any, tmp_path: Path) -> None:
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

    monkeypatch.setattr("deeprecon.panels.common.bundle_panel.read_bundle", read)
    bundle.ui.folderEdit.currentPath = str(tmp_path / "scar")
    assert bundle.bundle is not None
    text = bundle.ui.cardText.toPlainText()
    assert "Test model" in text
    assert "Apache-2.0" in text
    assert "not for diagnosis" in text
    bundle.ui.folderEdit.currentPath = str(tmp_path / "dwmri")
    assert bundle.bundle is None
    assert "for dwmri" in bundle.ui.messageLabel.text


def test_a_model_is_exported_to_a_file_and_checked_when_imported(
    bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zipfile

    from deeprecon.data.errors import InputError
    from deeprecon.data.files import sha256, write_json
    from deeprecon.training.bundle import FORMAT

    source = tmp_path / "model"
    for part in ("configs", "models", "docs"):
        (source / part).mkdir(parents=True)
    (source / "models" / "model.safetensors").write_bytes(b"weights")
    (source / "docs" / "README.md").write_text("A model.", encoding="utf-8")
    words = ("network", "version", "license", "description", "valid_for", "training_data",
             "monai_version", "pytorch_version", "numpy_version")  # fmt: skip
    names = ("models/model.safetensors", "docs/README.md")
    card = {**dict.fromkeys(words, "1"), "name": "Größe 7", "format": FORMAT, "method": "scar", "parameters": {},
            "network_data_format": {}, "files": {name: sha256(source / name) for name in names}}  # fmt: skip
    write_json(source / "configs" / "metadata.json", card)
    monkeypatch.setattr("deeprecon.panels.common.bundle_panel.models_folder", lambda: tmp_path / "models")
    assert not bundle.ui.exportButton.enabled
    bundle.ui.folderEdit.currentPath = str(source)
    file = tmp_path / "model.zip"
    bundle.ui.fileEdit.currentPath = str(file)
    bundle.ui.exportButton.click()
    bundle.ui.importButton.click()
    found = Path(bundle.ui.folderEdit.currentPath)
    assert found.parent == tmp_path / "models"
    assert bundle.bundle.sha256 == sha256(source / "configs" / "metadata.json")
    assert len(list((tmp_path / "models").iterdir())) == 1

    # a changed file or one outside of the folder is refused, and no file is left
    for name, content, words in (
        ("models/model.safetensors", b"other", "changed or damaged"),
        ("../outside", b"x", "outside of the bundle"),
    ):
        bad = tmp_path / "bad.zip"
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(bad, "w") as new:
            for entry in old.namelist():
                new.writestr(entry, content if entry == name else old.read(entry))
            if name not in old.namelist():
                new.writestr(name, content)
        bundle.ui.fileEdit.currentPath = str(bad)
        with pytest.raises(InputError, match=words):
            bundle._onImport()
        assert len(list((tmp_path / "models").iterdir())) == 1
    assert not (tmp_path / "outside").exists()
