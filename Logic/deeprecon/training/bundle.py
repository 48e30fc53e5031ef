"""Model bundles: trained weights with a card that describes them, in the layout of a MONAI bundle.

    configs/metadata.json   the card: MONAI's keys and ours, with the sha256 of every other file
    models/*.safetensors    the weights; several files are an ensemble, or parts that are called by name
    docs/README.md          for people

Reading and checking a bundle needs neither PyTorch nor safetensors.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import sha256, write_json, write_text
from deeprecon.jobs.job import BUNDLE_CARD

if TYPE_CHECKING:
    from torch import Tensor

CARD = BUNDLE_CARD
README = "docs/README.md"
FORMAT = 1
MONAI_VERSION = "1.4.0"
MONAI_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)
MAX_CARD = 2**22
"""Bytes of a card; more is no card."""
IGNORED_FILES = {"Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Bundle:
    """A checked bundle.

    Attributes:
        folder: where it lies.
        method: which method it is for, such as "scar".
        network: name of the network in that method's table of networks.
        parameters: what that network is built with.
        weights: the weight files, one a member of the ensemble or a part, sorted by name.
        sha256: checksum of the card, and since it holds all others, of the bundle.
        metadata: the card; for showing: name, version, description, valid_for, training_data, license.
    """

    folder: Path
    method: str
    network: str
    parameters: dict[str, Any]
    weights: tuple[Path, ...]
    sha256: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Card:
    """Description of a model.

    Attributes:
        name: of the model.
        version: of the model, such as "0.1.0".
        description: what it does, in a sentence.
        valid_for: what it may be used on, and what not.
        training_data: what it was trained on.
        license: of the weights, as an SPDX name such as "Apache-2.0".
        authorship: who made it.
        task: what it is for, in a few words.
        inputs, outputs: the network's tensors by name, as in MONAI's `network_data_format`.
    """

    name: str
    version: str
    description: str
    valid_for: str
    training_data: str
    license: str
    authorship: str
    task: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


@names_damage
def read_bundle(folder: Path, method: str | None = None) -> Bundle:
    """Read a bundle and check every file against its card.

    Args:
        folder: of the bundle.
        method: the method that will use it.

    Raises:
        InputError: no bundle, a broken or incomplete card, a file that is missing, changed or not on the card, or a
            bundle for another method.
    """
    hint = "Get the bundle again from where it came."
    path = folder / CARD
    try:
        if path.stat().st_size > MAX_CARD:
            raise InputError(f"{path} is damaged: it has {path.stat().st_size} bytes.", hint)
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{folder} is no model bundle: {CARD} cannot be read.", "Choose a bundle's folder.") from error
    card = parse_card(path, text)
    if method is not None and card["method"] != method:
        raise InputError(f"The model in {folder} is for {card['method']}, not for {method}.", "Choose another bundle.")

    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if _belongs_to_bundle(folder, file)} - {
        CARD
    }
    for kind, names in (("lacks", set(card["files"]) - found), ("holds unknown files", found - set(card["files"]))):
        if names:
            raise InputError(f"The model bundle {folder} {kind}: {', '.join(sorted(names))}.", hint)
    for name, expected in card["files"].items():
        if sha256(folder / name) != expected:
            raise InputError(f"{folder / name} was changed or damaged: its checksum differs from the card.", hint)
    weights = tuple(folder / name for name in sorted(card["files"]) if name.startswith("models/"))
    return Bundle(folder, card["method"], card["network"], card["parameters"], weights, sha256(path), card)


def parse_card(path: Path, text: str) -> dict[str, Any]:
    """The card of a bundle, checked.

    Args:
        path: of the file it comes from, for messages.
        text: of the card.

    Raises:
        InputError: no JSON, or entries that are missing or wrong.
    """
    try:
        card: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}.", "Get the bundle again from where it came.") from error
    _check_card(path, card)
    return card


def write_bundle(
    folder: Path,
    card: Card,
    method: str,
    network: str,
    parameters: dict[str, Any],
    weights: Sequence[Mapping[str, Tensor]] | Mapping[str, Mapping[str, Tensor]],
    readme: str,
) -> Bundle:
    """Write a bundle atomically.

    Args:
        folder: to be made; it may be there only if it is empty.
        card: description of the model.
        method: that the bundle is for.
        network: name in that method's table of networks.
        parameters: what the network is built with, as JSON values.
        weights: a state_dict for each member of the ensemble, or for each part by its name.
        readme: docs/README.md.

    Raises:
        InputError: the folder is not empty, or there are no weights.
    """
    from safetensors.torch import save_file

    if not weights:
        raise InputError(f"There are no weights to write to {folder}.")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty.", "Choose another folder for the model bundle.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        for part in ("configs", "models", "docs"):
            (staging / part).mkdir()
        for name, state in _named(weights).items():
            own = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in state.items()}
            save_file(own, staging / "models" / f"{name}.safetensors")
        write_text(staging / README, readme)
        names = sorted(file.relative_to(staging).as_posix() for file in staging.rglob("*") if file.is_file())
        entries = _entries(card, method, network, parameters)
        write_json(staging / CARD, {**entries, "files": {name: sha256(staging / name) for name in names}})
        read_bundle(staging)
        usual = (staging / README).stat().st_mode
        for name in names:  # safetensors' files are private, and so are mkdtemp's folders
            (staging / name).chmod(usual)
        staging.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return read_bundle(folder)


def load_weights(bundle: Bundle) -> list[dict[str, Tensor]]:
    """A state_dict, on the CPU, for each of `Bundle.weights`.

    Raises:
        InputError: a file changed since the bundle was read, or holds no tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    hint = "Get the bundle again from where it came."
    states = []
    for path in bundle.weights:
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != bundle.metadata["files"][f"models/{path.name}"]:
                raise InputError(f"{path} changed since the bundle was checked.", hint)
            states.append(dict(load(content)))
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} holds no readable weights: {error}.", hint) from error
    return states


def _named(
    weights: Sequence[Mapping[str, Tensor]] | Mapping[str, Mapping[str, Tensor]],
) -> Mapping[str, Mapping[str, Tensor]]:
    if isinstance(weights, Mapping):
        return weights
    return {"model" if len(weights) == 1 else f"model_{index:02d}": state for index, state in enumerate(weights)}


def _entries(card: Card, method: str, network: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": MONAI_SCHEMA,
        "version": card.version,
        "changelog": {card.version: "written by DeepRecon"},
        "monai_version": MONAI_VERSION,
        "pytorch_version": importlib.metadata.version("torch"),
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": importlib.metadata.version("safetensors")},
        "name": card.name,
        "task": card.task,
        "description": card.description,
        "authorship": card.authorship,
        "copyright": f"Copyright (c) {card.authorship}",
        "intended_use": "Research only, not for diagnosis.",
        "network_data_format": {"inputs": card.inputs, "outputs": card.outputs},
        "format": FORMAT,
        "method": method,
        "network": network,
        "parameters": parameters,
        "valid_for": card.valid_for,
        "training_data": card.training_data,
        "license": card.license,
    }


def _check_card(path: Path, card: Any) -> None:
    """Raise InputError unless the card has what this version needs, with files that stay inside the bundle."""
    if not isinstance(card, dict) or card.get("format") != FORMAT or "method" not in card:
        raise InputError(f"{path} is not the card of a DeepRecon model of format {FORMAT}.", "Choose another bundle.")
    kinds = {
        **dict.fromkeys(("method", "network", "name", "version", "description", "valid_for"), str),
        **dict.fromkeys(("training_data", "license", "monai_version", "pytorch_version", "numpy_version"), str),
        **dict.fromkeys(("parameters", "files", "network_data_format"), dict),
    }
    wrong = sorted(name for name, kind in kinds.items() if not isinstance(card.get(name), kind))
    if wrong:
        raise InputError(f"{path} lacks or misuses: {', '.join(wrong)}.", "Get the bundle again from where it came.")
    for name, checksum in card["files"].items():
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name or not isinstance(checksum, str):
            raise InputError(f"{path} names a file outside of the bundle: {name!r}.", "Do not use this bundle.")
        if name.startswith("models/") and (len(parts.parts) != 2 or parts.suffix != ".safetensors"):
            raise InputError(f"{path} lists weights that are no safetensors file: {name}.", "Do not use this bundle.")
    if not any(name.startswith("models/") for name in card["files"]) or README not in card["files"]:
        raise InputError(f"{path} lists no weights or no {README}.", "Get the bundle again from where it came.")


def _belongs_to_bundle(folder: Path, file: Path) -> bool:
    """Whether a file belongs to the bundle; what file managers leave behind does not."""
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts) or file.name in IGNORED_FILES
    return file.is_file() and not hidden
