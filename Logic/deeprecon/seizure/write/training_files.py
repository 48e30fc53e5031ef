"""Files of a training: users.csv, history.csv and curves.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprecon.data.tables import write_table
from deeprecon.seizure.training.split import UserSplit


def write_training(folder: Path, split: UserSplit, history: Sequence[Mapping[str, Any]]) -> dict[str, Path]:
    """Write all files; returns their paths by role.

    Args:
        folder: exists.
        split: users of the networks.
        history: rows (network, step, loss, validation).
    """
    paths = {"history": folder / "history.csv", "users": folder / "users.csv", "curves": folder / "curves.png"}
    write_table(paths["history"], history)
    write_table(paths["users"], _user_roles(split))
    paths["curves"].write_bytes(_learning_curves(history))
    return paths


def _user_roles(split: UserSplit) -> list[dict[str, Any]]:
    """The role of each user for each network."""
    rows = []
    for user in sorted({*split.trained, *split.test}):
        row: dict[str, Any] = {"user": user}
        for number, validation in enumerate(split.validation):
            role = "test" if user in split.test else "validation" if user in validation else "training"
            row[f"network_{number:02d}"] = role
        rows.append(row)
    return rows


def _learning_curves(history: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of loss and validation figure over the steps, a line for each network."""
    from deeprecon.reporting.figures import png, pyplot

    plt = pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, key in zip(axes, ("loss", "validation"), strict=True):
        for number in sorted({row["network"] for row in history}):
            rows = [row for row in history if row["network"] == number]
            axis.plot([row["step"] for row in rows], [row[key] for row in rows], label=f"network {number}")
        axis.set(xlabel="step", title=key)
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False, fontsize=8)
    return png(figure)
