"""Networks that cardioscar trained, read from its checkpoints without running anything that they contain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import sha256

if TYPE_CHECKING:
    from deeprecon.scar.fit.mlp import Mlp

_HINT = "Give a .pth file that cardioscar's train or fine-tune wrote."


@names_damage
def read_checkpoint(path: Path) -> tuple[Mlp, str]:
    """The network in a cardioscar .pth file, and a description of what it was trained on.

    Layers and width are read off the weights, since fine-tuned checkpoints do not state them. Their box is in the
    coordinates of the mesh file that they were made from, whatever its axes were.

    Raises:
        InputError: not such a checkpoint, or one that contains more than numbers.
    """
    from deeprecon.training.checkpoint import load_external

    content = load_external(path, _numpy_values())
    if not isinstance(content, dict):
        raise InputError(f"{path} is no checkpoint of cardioscar.", _HINT)
    state, settings, info = (
        _part(path, content, name) for name in ("model_state_dict", "hyperparameters", "dataset_info")
    )
    network = _build(path, state, settings, info)
    data = (
        f"{path.name} (SHA-256 {sha256(path)}), made by cardioscar from {info.get('n_nodes', 'unknown')} nodes in "
        f"{info.get('n_groups', 'unknown')} groups"
    )
    return network, data


def _part(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, dict):
        raise InputError(f"{path} is no checkpoint of cardioscar: it lacks {name}.", "Give the file that it wrote.")
    return part


def _build(path: Path, state: Mapping[str, Any], settings: Mapping[str, Any], info: Mapping[str, Any]) -> Mlp:
    import torch

    from deeprecon.scar.fit.mlp import Mlp

    if not all(isinstance(value, torch.Tensor) and torch.isfinite(value).all() for value in state.values()):
        raise InputError(f"{path}: model_state_dict holds what is no tensor of finite numbers.", _HINT)
    layers = [value for name, value in state.items() if name.endswith(".weight")]
    width, count = (len(layers[0]) if layers and layers[0].ndim == 2 else 0), len(layers) - 1
    for name, found in (("hidden_size", width), ("n_hidden_layers", count)):
        if settings.get(name, found) != found:
            raise InputError(f"{path} states {name} {settings[name]}, its weights have {found}.", _HINT)
    dropout, box = settings.get("dropout_rate"), _box(path, info)
    if not isinstance(dropout, int | float) or not 0 < dropout < 1:
        raise InputError(f"{path}: dropout_rate is {dropout!r}, expected a number between 0 and 1.", _HINT)
    if width < 1:
        raise InputError(f"{path}: model_state_dict has no layers.", _HINT)
    try:
        network = Mlp(width, count, float(dropout), box)
        network.load_state_dict(dict(state))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.hint) from error
    except RuntimeError as error:  # names or shapes differ
        reason = " ".join(str(error).split()).rstrip(". ")
        raise InputError(f"{path} has other layers than cardioscar's network: {reason}.", _HINT) from error
    return network


def _box(path: Path, info: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """(2, 3) corners of what the network sees as 0 to 1."""
    try:
        box = np.array([np.asarray(info[name], np.float64) for name in ("scaler_min", "scaler_max")])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} lacks scaler_min or scaler_max.", "Give the file that cardioscar wrote.") from error
    if box.shape != (2, 3) or not np.isfinite(box).all() or not (box[1] > box[0]).all():
        raise InputError(f"{path}: scaler_min and scaler_max are no box.", "Give the file that cardioscar wrote.")
    return box


def _numpy_values() -> list[Any]:
    """What a pickle of numpy arrays and numbers refers to, under the names of numpy 1 and 2; none has side effects."""
    from numpy._core.multiarray import _reconstruct, scalar  # type: ignore[attr-defined]

    functions = [
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", scalar))
    ]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")]
    return [*functions, np.ndarray, np.dtype, *kinds]
