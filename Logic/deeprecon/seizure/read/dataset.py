"""Recordings of many users in one file, and how users are split into parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.seizure.read.recordings import Recording

FORMAT = "deeprecon-seizure-1"


def write_dataset(path: Path, recordings: Sequence[Recording]) -> None:
    """Write recordings to one .npz file without pickles, atomically."""
    facts = [
        {
            "name": recording.name,
            "user": recording.user,
            "start": recording.start.isoformat() if recording.start else None,
            "seizures": recording.seizures,
            "uncertain": recording.uncertain,
            "notes": recording.notes,
            "samples": len(recording.magnitude),
        }
        for recording in recordings
    ]
    text = json.dumps({"format": FORMAT, "recordings": facts})
    with atomic_path(path) as part, open(part, "wb") as file:
        np.savez_compressed(
            file,
            about=np.frombuffer(text.encode(), np.uint8),
            magnitude=np.concatenate([recording.magnitude for recording in recordings]),
            valid=np.concatenate([recording.valid for recording in recordings]),
        )


def read_dataset(path: Path) -> list[Recording]:
    """Read what `write_dataset` wrote.

    Raises:
        InputError: no such file, or not of this format.
    """
    hint = "Give the dataset.npz that seizure prepare wrote."
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]))
            magnitude, valid = file["magnitude"].astype(np.float32), file["valid"].astype(np.bool_)
        if about["format"] != FORMAT:
            raise InputError(f"{path} is of another format.", hint)
        bounds = np.cumsum([0, *(fact["samples"] for fact in about["recordings"])])
        if len(magnitude) != bounds[-1] or len(valid) != bounds[-1] or not np.isfinite(magnitude).all():
            raise InputError(f"{path} is damaged: its samples do not fit its list of recordings.", hint)
        return [
            Recording(
                fact["name"],
                fact["user"],
                magnitude[first:last],
                valid[first:last],
                datetime.fromisoformat(fact["start"]) if fact["start"] else None,
                tuple((float(begin), float(end)) for begin, end in fact["seizures"]),
                fact["uncertain"],
                tuple(fact["notes"]),
            )
            for fact, first, last in zip(about["recordings"], bounds[:-1], bounds[1:], strict=True)
        ]
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.", hint) from error
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no data set of recordings.", hint) from error


def fold_of_users(recordings: Sequence[Recording], folds: int, seed: int) -> dict[str, int]:
    """Which of `folds` parts each user belongs to, users with seizures and those without spread evenly.

    A user is never in two parts, since one person's recordings resemble each other. The same users and seed give the
    same parts, in whatever order the recordings come.

    Raises:
        InputError: fewer users with seizures than parts.
    """
    with_seizures = {recording.user for recording in recordings if recording.seizures}
    users = sorted({recording.user for recording in recordings})
    if len(with_seizures) < folds:
        raise InputError(
            f"{len(with_seizures)} users have seizures at known times, too few for {folds} parts of users.",
            "Give more recordings, or fewer folds; larger validationProp and testProp make fewer parts.",
        )
    shuffled = sorted(users, key=lambda user: hashlib.sha256(f"{seed}/{user}".encode()).digest())
    ordered = [user for user in shuffled if user in with_seizures]
    ordered += [user for user in shuffled if user not in with_seizures]
    return {user: number % folds for number, user in enumerate(ordered)}


@dataclass(frozen=True)
class Split:
    """Users to train on and to select weights with, for each network of an ensemble, and those of the test."""

    training: tuple[tuple[str, ...], ...]
    validation: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]


def split_users(
    recordings: Sequence[Recording], models: int, test_share: float, validation_share: float, seed: int
) -> Split:
    """Set users aside for the test, then validate each network on another part of the rest.

    With more networks than parts, the parts are drawn anew after each round.
    """
    test: set[str] = set()
    if test_share:
        folds = max(2, round(1 / test_share))
        of = fold_of_users(recordings, folds, seed)
        test = {user for user, number in of.items() if number == 0}
    return ensemble_split([one for one in recordings if one.user not in test], models, validation_share, seed, test)


def ensemble_split(
    recordings: Sequence[Recording], models: int, validation_share: float, seed: int, test: set[str]
) -> Split:
    """The inner part of `split_users`: `recordings` are those of users outside of the test."""
    folds = max(2, round(1 / validation_share))
    training, validation = [], []
    for model in range(models):
        of = fold_of_users(recordings, folds, seed + 1 + model // folds)
        validation.append(tuple(user for user, number in sorted(of.items()) if number == model % folds))
        training.append(tuple(user for user, number in sorted(of.items()) if number != model % folds))
    return Split(tuple(training), tuple(validation), tuple(sorted(test)))


def with_whole_events(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings; those with a seizure at an unknown time are seizures from end to end, as in nnTraining2."""
    return [
        replace(one, uncertain=False, seizures=((0.0, one.seconds),)) if one.uncertain else one for one in recordings
    ]


def of_users(recordings: Sequence[Recording], users: Sequence[str]) -> list[Recording]:
    """The recordings of these users."""
    wanted = set(users)
    return [recording for recording in recordings if recording.user in wanted]
