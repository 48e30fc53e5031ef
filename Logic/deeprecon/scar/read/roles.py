"""What a segment's name says it is."""

from __future__ import annotations

import re

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
    "right-blood-pool": (),  # told by `role_of` from `_CAVITY` and the side
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
"""Roles that make up another one, where that is more than itself: no-reflow is core that the contrast agent does not
reach, and core and border zone are scar."""

_RIGHT = {"rv", "right"}
_ATRIUM = {"atrium", "atrial", "atria"}
_RIGHT_VENTRICLE = {"rv", "right ventricle"}


def role_of(name: str) -> str | None:
    """The role that a segment's name tells, None where it tells none.

    Whole words count, in any case: "LV_Myocardium", "no-reflow", "BloodPool" and "Scar (5 SD)" are understood,
    "Scarlet" is not. Of the right ventricle the cavity alone has a role, "RV" by itself included: its wall and scar
    are not the ones meant. Nothing of the atria has one.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W_]+", spaced.lower())
    text = f" {' '.join(words)} "
    if _ATRIUM & set(words):
        return None
    if _RIGHT & set(words):
        cavity = text.strip() in _RIGHT_VENTRICLE or _names(text, _CAVITY)
        wall = any(_names(text, ROLES[role]) for role in ("scar", "myocardium"))
        return "right-blood-pool" if cavity and not wall else None
    return next((role for role, names in ROLES.items() if _names(text, names)), None)


def _names(text: str, names: tuple[str, ...]) -> bool:
    """Whether one of `names` stands in `text` as whole words."""
    return any(f" {known} " in text for known in names)
