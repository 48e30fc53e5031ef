"""What a segment's name says it is."""

from __future__ import annotations

import re

ROLES: dict[str, tuple[str, ...]] = {
    "no-reflow": ("no reflow", "noreflow", "mvo", "microvascular obstruction"),
    "remote": ("remote", "reference region"),
    "blood-pool": ("blood pool", "bloodpool", "blood", "cavity", "lumen"),
    "scar": ("scar", "infarct", "infarction", "fibrosis", "lge", "enhancement", "hyperenhancement"),
    "myocardium": ("myocardium", "myocardial", "myo", "wall"),
}
"""Roles and the words that name them. The first role that fits wins: "remote myocardium" is remote, "LV scar" scar."""

_RIGHT = {"rv", "right"}


def role_of(name: str) -> str | None:
    """The role that a segment's name tells, None where it tells none.

    Whole words count, in any case: "LV_Myocardium", "no-reflow", "BloodPool" and "Scar (5 SD)" are understood,
    "Scarlet" is not. Names of the right ventricle have no role: its wall and cavity are not the ones meant.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W_]+", spaced.lower())
    if _RIGHT & set(words):
        return None
    text = f" {' '.join(words)} "
    return next((role for role, names in ROLES.items() if any(f" {known} " in text for known in names)), None)
