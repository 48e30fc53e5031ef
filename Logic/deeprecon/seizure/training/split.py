"""How users are split into parts for training, validation and test.

A user is never in two parts, since the recordings of one person resemble each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deeprecon.data.errors import InputError
from deeprecon.seizure.read.recording import Recording


@dataclass(frozen=True)
class UserSplit:
    """Users for training and validation of each network of an ensemble, and users of the test."""

    training: tuple[tuple[str, ...], ...]
    validation: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]

    @property
    def trained(self) -> list[str]:
        """Users seen in training or validation of any network."""
        return sorted({user for part in (*self.training, *self.validation) for user in part})


def split_users(
    recordings: Sequence[Recording], models: int, test_share: float, validation_share: float, seed: int
) -> UserSplit:
    """Set users aside for the test, then validate each network on a different part of the others.

    With more networks than parts, the parts are drawn again for each round.

    Raises:
        InputError: see `assign_folds`.
    """
    test: set[str] = set()
    if test_share:
        fold_by_user = assign_folds(recordings, max(2, round(1 / test_share)), seed)
        test = {user for user, fold in fold_by_user.items() if fold == 0}
    return split_training_users(recordings, models, validation_share, seed, test)


def split_training_users(
    recordings: Sequence[Recording], models: int, validation_share: float, seed: int, test: Collection[str]
) -> UserSplit:
    """As `split_users`, with given users of the test."""
    others = [one for one in recordings if one.user not in test]
    folds = max(2, round(1 / validation_share))
    training, validation = [], []
    for model in range(models):
        fold_by_user = sorted(assign_folds(others, folds, seed + 1 + model // folds).items())
        validation.append(tuple(user for user, fold in fold_by_user if fold == model % folds))
        training.append(tuple(user for user, fold in fold_by_user if fold != model % folds))
    return UserSplit(tuple(training), tuple(validation), tuple(sorted(test)))


def assign_folds(recordings: Sequence[Recording], folds: int, seed: int) -> dict[str, int]:
    """The fold (0 to `folds` - 1) of each user; users with seizures and those without are spread evenly.

    The same users and seed give the same folds, in any order of the recordings.

    Raises:
        InputError: fewer users with seizures than folds.
    """
    with_seizures = {recording.user for recording in recordings if recording.seizures}
    users = {recording.user for recording in recordings}
    if len(with_seizures) < folds:
        raise InputError(
            f"{len(with_seizures)} users have seizures at known times, too few for {folds} parts of users.",
            "Give more recordings, or fewer folds; larger validationProp and testProp make fewer parts.",
        )
    shuffled = sorted(sorted(users), key=lambda user: hashlib.sha256(f"{seed}/{user}".encode()).digest())
    ordered = sorted(shuffled, key=lambda user: user not in with_seizures)  # a stable sort
    return {user: number % folds for number, user in enumerate(ordered)}
