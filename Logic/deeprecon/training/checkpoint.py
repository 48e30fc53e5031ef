"""Checkpoints: one file, written atomically, from which a run continues to the same numbers. No pickle.

A checkpoint is a safetensors file. Its tensors are the state's tensors; everything else of the state is JSON in
the file's header, with a checksum over both.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path

FORMAT = "deeprecon-checkpoint-1"
_SAFER_FORMATS_HINT = "Ask its authors for a .safetensors file, or for the weights alone (a state_dict)."


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state of nested dicts, lists, tuples, tensors, numbers, text and None, making the folder where missing.

    A process that is killed while writing leaves the previous checkpoint as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".part-*-{path.name}"):  # of a process that was killed here
        stale.unlink(missing_ok=True)
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_encode(state, "", tensors), allow_nan=False)
    header = {"format": FORMAT, "state": text, "sha256": _digest(text, tensors)}
    with atomic_path(path) as part, open(part, "wb") as file:
        file.write(save(tensors, metadata=header))
        file.flush()
        os.fsync(file.fileno())


@names_damage
def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, tensors on the CPU.

    Raises:
        InputError: the file is missing, damaged, or no checkpoint of this library.
    """
    hint = "Delete it to start the training again."
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        if header.get("format") != FORMAT:
            raise InputError(f"{path} is not a checkpoint of this version.", hint)
        tensors = load_file(path)
        if _digest(header["state"], tensors) != header["sha256"]:
            raise InputError(f"The checkpoint {path} is damaged: its checksum differs.", hint)
        state = _decode(json.loads(header["state"]), tensors)
    except FileNotFoundError as error:
        raise InputError(f"There is no checkpoint {path}.") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The checkpoint {path} is damaged or no checkpoint: {error}.", hint) from error
    if not isinstance(state, dict):
        raise InputError(f"The checkpoint {path} holds no state.", hint)
    return state


def random_state() -> dict[str, Any]:
    """The state of the global random generators of Python, NumPy and PyTorch (CPU and every CUDA device)."""
    return {
        "python": random.getstate(),
        "numpy": [entry.tolist() if isinstance(entry, np.ndarray) else entry for entry in np.random.get_state()],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators where `random_state` found them; CUDA's where as many devices are here."""
    random.setstate(state["python"])
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available() and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


@names_damage
def load_external(path: Path, allowed: Sequence[Any] = ()) -> Any:
    """Content of a .pth, .pt, .ckpt or .safetensors file from elsewhere, without running anything that it contains.

    Args:
        path: the file.
        allowed: what its pickle may ask for besides tensors and plain values, as `torch.serialization.safe_globals`
            takes it; nothing that does more than hold numbers.

    Raises:
        InputError: the file is missing or damaged, or its pickle asks for more than is allowed.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # Older versions can be made to run code in spite of weights_only (CVE-2025-32434, CVE-2026-24747).
        if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < (2, 10):
            raise InputError(f"PyTorch {torch.__version__} cannot read {path} safely.", "Update it to 2.10 or newer.")
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except pickle.UnpicklingError as error:
        reason = "it holds more than weights: loading it could run a program"
        raise InputError(f"{path} was not loaded: {reason}.", _SAFER_FORMATS_HINT) from error
    except InputError:
        raise
    except Exception as error:  # arbitrary bytes make the readers fail in any way
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} is damaged or no file of weights: {reason}.", _SAFER_FORMATS_HINT) from error


def _encode(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON; tensors go to `tensors` and leave their name. Dicts become pairs, so keys keep their type."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _encode(entry, f"{name}/{key}", tensors)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        entries = [_encode(entry, f"{name}/{index}", tensors) for index, entry in enumerate(value)]
        return {"tuple": entries} if isinstance(value, tuple) else entries
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decode(entry, tensors) for key, entry in content}
    if kind == "tuple":
        return tuple(_decode(entry, tensors) for entry in content)
    return float(content)


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
