"""Model bundles as zip files, of ours and of others."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from deeprecon.data.errors import InputError
from deeprecon.training.bundle import CARD, Card, write_bundle
from deeprecon.training.bundle_file import export_bundle, import_bundle

DESCRIPTION = Card("Test", "0.1.0", "a", "b", "c", "Apache-2.0", "d", "e", {}, {})


@pytest.fixture
def content(tmp_path: Path) -> dict[str, bytes]:
    """The files of a zipped bundle by name."""
    weights = [{"w": torch.zeros(10_000)}]
    bundle = write_bundle(tmp_path / "bundle", DESCRIPTION, "scar", "field", {"width": 64}, weights, "# Test\n")
    export_bundle(bundle, tmp_path / "whole.zip")
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def changed_card(content: dict[str, bytes], **changes: Any) -> bytes:
    return json.dumps({**json.loads(content[CARD]), **changes}).encode()


def test_an_exported_bundle_is_imported(tmp_path: Path, content: dict[str, bytes]) -> None:
    bundle = import_bundle(pack(tmp_path / "a.zip", content), tmp_path / "models", "scar")
    assert bundle.metadata["name"] == "Test"
    assert [path.name for path in (tmp_path / "models").iterdir()] == [bundle.folder.name]


@pytest.mark.parametrize(
    "kind", ["no card", "no json", "deep json", "entries", "outside", "zeros", "large card", "missing", "no zip"]
)
def test_a_hostile_zip_file_is_refused_before_anything_is_unpacked(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    method = zipfile.ZIP_STORED
    weights = next(name for name in content if name.startswith("models/"))
    if kind == "no card":
        del content[CARD]
    elif kind == "no json":
        content[CARD] = b"\xff{"
    elif kind == "deep json":
        content[CARD] = b"[" * 100_000
    elif kind == "entries":
        content |= {f"extra/{number}": b"" for number in range(5000)}
    elif kind == "outside":
        content["../outside"] = b"x"
    elif kind == "zeros":
        content[weights], method = bytes(50_000_000), zipfile.ZIP_DEFLATED
    elif kind == "large card":
        content[CARD], method = changed_card(content, description=5_000_000 * " "), zipfile.ZIP_DEFLATED
    elif kind == "missing":
        del content[weights]
    path = pack(tmp_path / "a.zip", content, method)
    if kind == "no zip":
        path.write_bytes(path.read_bytes()[:-30])

    def unpack(*_: Any) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", unpack)
    with pytest.raises(InputError, match=r"a\.zip"):
        import_bundle(path, tmp_path / "models", "scar")
    assert list((tmp_path / "models").iterdir()) == []
    assert not (tmp_path / "outside").exists()
