"""Roles of regions: which segment names and which label values mean wall, scar, core, blood and so on."""

from __future__ import annotations

import re

from deeprecon.data.errors import InputError

_CAVITY = ("blood pool", "bloodpool", "blood", "cavity", "lumen")

ROLES: dict[str, tuple[str, ...]] = {
    "no-reflow": ("no reflow", "noreflow", "mvo", "microvascular obstruction"),
    "remote": ("remote", "reference region"),
    "border-zone": (
        "border zone",
        "borderzone",
        "gray zone",
        "grey zone",
        "grayzone",
        "greyzone",
        "peri infarct",
        "bz",
    ),
    "core": ("core", "dense scar"),
    "right-blood-pool": (),  # found by `role_of` from `_CAVITY` and the side
    "blood-pool": _CAVITY,
    "scar": ("scar", "infarct", "infarction", "fibrosis", "lge", "enhancement", "hyperenhancement"),
    "myocardium": ("myocardium", "myocardial", "myo", "wall"),
}
"""Roles and the words that name them. The first role that fits wins: "remote myocardium" is remote, "LV scar" scar,
"Scar border zone" border zone and "infarct core" core."""

PARTS: dict[str, tuple[str, ...]] = {
    "scar": ("scar", "core", "border-zone", "no-reflow"),
    "core": ("core", "no-reflow"),
}
"""Roles whose region is a union of regions: microvascular obstruction (no-reflow) is core that the contrast agent does
not reach, and core and border zone are scar."""

_RIGHT = {"rv", "right"}
_ATRIUM = {"atrium", "atrial", "atria"}
_RIGHT_VENTRICLE = {"rv", "right ventricle"}

Labels = dict[str, tuple[str, ...]]
"""Role -> label values or segment names, as `parse_labels` returns them."""


def parse_labels(entries: tuple[str, ...]) -> Labels:
    """`("scar=3,4", "myocardium=2")` as `{"scar": ("3", "4"), "myocardium": ("2",)}`.

    Raises:
        InputError: an entry without "=" or with an unknown role.
    """
    labels: Labels = {}
    for entry in entries:
        role, separator, values = entry.partition("=")
        names = tuple(value.strip() for value in values.split(",") if value.strip())
        if not separator or not names or role not in ROLES:
            raise InputError(
                f"Cannot understand the labels {entry!r}.",
                f"Write ROLE=VALUE[,VALUE]; the roles are {', '.join(ROLES)}.",
            )
        labels[role] = names
    return labels


def role_of(name: str) -> str | None:
    """The role that a segment's name stands for, None where it stands for none.

    Whole words count, in any case: "LV_Myocardium", "no-reflow", "BloodPool" and "Scar (5 SD)" are recognized,
    "Scarlet" is not. Of the right ventricle only the cavity has a role, "RV" by itself included: its wall and scar are
    not reconstructed. No part of the atria has a role.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W_]+", spaced.lower())
    text = f" {' '.join(words)} "
    if _ATRIUM & set(words):
        return None
    if _RIGHT & set(words):
        cavity = text.strip() in _RIGHT_VENTRICLE or _contains(text, _CAVITY)
        wall = any(_contains(text, ROLES[role]) for role in ("scar", "myocardium"))
        return "right-blood-pool" if cavity and not wall else None
    return next((role for role, names in ROLES.items() if _contains(text, names)), None)


def _contains(text: str, names: tuple[str, ...]) -> bool:
    """Whether one of `names` occurs in `text` as whole words."""
    return any(f" {known} " in text for known in names)
