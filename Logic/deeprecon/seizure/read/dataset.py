"""Recordings of many users in one .npz file: its reader and writer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path
from deeprecon.seizure.read.recording import Recording

FORMAT = "deeprecon-seizure-1"


def write_dataset(path: Path, recordings: Sequence[Recording]) -> None:
    """Write recordings to one .npz file without pickles, atomically."""
    entries = [
        {
            "name": recording.name,
            "user": recording.user,
            "start": recording.start.isoformat() if recording.start else None,
            "seizures": recording.seizures,
            "uncertain": recording.uncertain,
            "notes": recording.notes,
            "unmonitored": dict(recording.unmonitored),
            "samples": len(recording.magnitude),
        }
        for recording in recordings
    ]
    text = json.dumps({"format": FORMAT, "recordings": entries})
    with atomic_path(path) as part, open(part, "wb") as file:
        np.savez_compressed(
            file,
            about=np.frombuffer(text.encode(), np.uint8),
            magnitude=np.concatenate([recording.magnitude for recording in recordings]),
            valid=np.concatenate([recording.valid for recording in recordings]),
        )


@names_damage
def read_dataset(path: Path) -> list[Recording]:
    """Read what `write_dataset` wrote.

    Raises:
        InputError: the file cannot be read, or has another format.
    """
    hint = "Give the dataset.npz that seizure prepare wrote."
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]))
            magnitude, valid = file["magnitude"].astype(np.float32), file["valid"].astype(np.bool_)
        if about["format"] != FORMAT:
            raise InputError(f"{path} has another format.", hint)
        bounds = np.cumsum([0, *(entry["samples"] for entry in about["recordings"])])
        if len(magnitude) != bounds[-1] or len(valid) != bounds[-1] or not np.isfinite(magnitude).all():
            raise InputError(f"{path} is damaged: its samples do not fit its list of recordings.", hint)
        return [
            Recording(
                entry["name"],
                entry["user"],
                magnitude[first:last],
                valid[first:last],
                datetime.fromisoformat(entry["start"]) if entry["start"] else None,
                tuple((float(begin), float(end)) for begin, end in entry["seizures"]),
                entry["uncertain"],
                tuple(entry["notes"]),
                {str(cause): float(value) for cause, value in entry.get("unmonitored", {}).items()},
            )
            for entry, first, last in zip(about["recordings"], bounds[:-1], bounds[1:], strict=True)
        ]
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.", hint) from error
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a data set of recordings.", hint) from error
