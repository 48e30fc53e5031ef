"""Model bundles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.training.bundle import Bundle, Card, load_weights, read_bundle, write_bundle

CARD = Card(
    name="Test model",
    version="0.1.0",
    description="Doubles a number.",
    valid_for="Numbers between 0 and 1.",
    training_data="Numbers made by code.",
    license="Apache-2.0",
    authorship="DeepRecon contributors",
    task="Doubling",
    inputs={"number": {"type": "value", "num_channels": 1}},
    outputs={"pred": {"type": "value", "num_channels": 1}},
)


def weights(count: int = 2) -> list[dict[str, torch.Tensor]]:
    return [torch.nn.Linear(2, index + 1).state_dict() for index in range(count)]


def write(folder: Path, states: list[dict[str, torch.Tensor]] | None = None) -> Bundle:
    states = weights() if states is None else states
    return write_bundle(folder, CARD, "scar", "field", {"width": 64}, states, "# Test model\n")


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "configs" / "metadata.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**card, **changes}), encoding="utf-8")


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    states = weights(3)
    folder = tmp_path / "mod\u00e8le"
    written = write(folder, states)
    bundle = read_bundle(folder, "scar")
    assert bundle == written
    assert (bundle.method, bundle.network, bundle.parameters) == ("scar", "field", {"width": 64})
    assert bundle.metadata["valid_for"] == CARD.valid_for
    assert bundle.sha256 == sha256(folder / "configs" / "metadata.json")
    for state, loaded in zip(states, load_weights(bundle), strict=True):
        assert set(state) == set(loaded)
        assert all(torch.equal(state[name], loaded[name]) for name in state)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_card_has_the_keys_that_monai_asks_for(tmp_path: Path) -> None:
    keys = {"version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task"}
    keys |= {"description", "authorship", "copyright", "network_data_format"}
    assert keys <= set(write(tmp_path / "model").metadata)


def test_one_network_has_one_plainly_named_file(tmp_path: Path) -> None:
    assert [path.name for path in write(tmp_path / "model", weights(1)).weights] == ["model.safetensors"]


def test_an_ensemble_of_many_keeps_its_order(tmp_path: Path) -> None:
    states = [{"member": torch.tensor(float(index))} for index in range(12)]
    assert [state["member"].item() for state in load_weights(write(tmp_path / "model", states))] == list(range(12))


def test_parts_are_called_by_their_names(tmp_path: Path) -> None:
    parts = {"encoder": {"w": torch.tensor(1.0)}, "decoder": {"w": torch.tensor(2.0)}}
    bundle = write_bundle(tmp_path / "model", CARD, "scar", "field", {}, parts, "# Test model\n")
    loaded = {path.stem: state["w"].item() for path, state in zip(bundle.weights, load_weights(bundle), strict=True)}
    assert loaded == {"encoder": 1.0, "decoder": 2.0}


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for name in ("models/model_01.safetensors", "docs/README.md"):
        write(folder / name[:6])
        path = folder / name[:6] / name
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError, match="checksum differs"):
            read_bundle(folder / name[:6])


def test_a_file_changed_after_the_check_is_refused(tmp_path: Path) -> None:
    bundle = write(tmp_path / "model")
    bundle.weights[0].write_bytes(bundle.weights[1].read_bytes())
    with pytest.raises(InputError, match="changed since"):
        load_weights(bundle)


def test_missing_and_unknown_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "missing")
    (tmp_path / "missing" / "models" / "model_00.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks: models/model_00\.safetensors"):
        read_bundle(tmp_path / "missing")
    write(tmp_path / "unknown")
    (tmp_path / "unknown" / "models" / "extra.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"unknown files: models/extra\.safetensors"):
        read_bundle(tmp_path / "unknown")


def test_what_file_managers_leave_behind_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "model")
    (tmp_path / "model" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "model" / "docs" / "Thumbs.db").write_bytes(b"x")
    read_bundle(tmp_path / "model")


def test_a_bundle_of_another_method_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model")
    with pytest.raises(InputError, match="is for scar, not for dwmri"):
        read_bundle(tmp_path / "model", "dwmri")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "format 1"),
        ({"network": None}, "lacks or misuses: network"),
        ({"parameters": []}, "lacks or misuses: parameters"),
        ({"files": {}}, "no weights"),
        ({"files": {"../outside": "0" * 64}}, "outside"),
        ({"files": {"/etc/passwd": "0" * 64}}, "outside"),
        ({"files": {"C:\\secret": "0" * 64}}, "outside"),
        ({"files": {"models/model.pth": "0" * 64, "docs/README.md": "0" * 64}}, "no safetensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_card_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    write(tmp_path / "model")
    edit(tmp_path / "model", **changes)
    with pytest.raises(InputError, match=reason):
        read_bundle(tmp_path / "model")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00"])
def test_a_damaged_card_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "model")
    (tmp_path / "model" / "configs" / "metadata.json").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|not the card"):
        read_bundle(tmp_path / "model")


def test_a_folder_without_a_card_is_no_bundle(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="no model bundle"):
            read_bundle(folder)


def test_a_bundle_is_never_written_over_other_files(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(InputError, match="not empty"):
        write(tmp_path / "used")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "a", CARD, "scar", "field", {"bad": object()}, weights(), "# Test\n")
    with pytest.raises(InputError, match="lacks or misuses"):
        write_bundle(tmp_path / "b", replace(CARD, license=None), "scar", "field", {}, weights(), "# Test\n")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no weights"):
        write(tmp_path / "c", [])
    assert list(tmp_path.iterdir()) == []


def test_all_files_of_a_bundle_have_the_usual_mode(tmp_path: Path) -> None:
    write(tmp_path / "model")
    (tmp_path / "usual").touch()
    modes = {path.stat().st_mode for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "usual").stat().st_mode}
