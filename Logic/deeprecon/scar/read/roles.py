"""Roles of regions: which segment names and which label values mean wall, scar, core, blood and so on."""

from __future__ import annotations

import re

from deeprecon.data.errors import InputError

_CAVITY = ("blood pool", "bloodpool", "blood", "cavity", "lumen")

_SURE_SCAR = (
    "scar",
    "scarred",
    "infarct",
    "infarcted",
    "infarction",
    "fibrosis",
    "fibrotic",
    "enhancement",
    "hyperenhancement",
    "nonviable",
)

ROLES: dict[str, tuple[str, ...]] = {
    "no-reflow": ("noreflow", "mvo", "microvascular obstruction"),
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
    "scar": (*_SURE_SCAR, "lge"),
    "remote": ("remote", "reference region"),
    "myocardium": ("myocardium", "myocardial", "myo", "wall"),
}
"""Roles and the words that name them. The first role that fits wins: "remote myocardium" is remote, "LV scar" and
"Remote scar" are scar, "Scar border zone" is border zone and "infarct core" core."""

SCAR_ROLES = ("scar", "core", "border-zone", "no-reflow")
"""Roles whose region is scar."""

PARTS: dict[str, tuple[str, ...]] = {
    "scar": SCAR_ROLES,
    "core": ("core", "no-reflow"),
}
"""Roles whose region is a union of regions: microvascular obstruction (no-reflow) is core that the contrast agent does
not reach, and core and border zone are scar."""

_RIGHT = {"rv", "right"}
_ELSEWHERE = {"atrium", "atrial", "atria", "chest", "thoracic", "abdominal", "aorta", "aortic"}
_RIGHT_VENTRICLE = {"rv", "right ventricle"}
_INSERTION = r"(rv|right ventricle|right ventricular) (insertion|hinge)( points?)?"

_ANY_NAME = "|".join(sorted({name for names in ROLES.values() for name in names}, key=len, reverse=True))
_NEGATIONS = "no|non|not|without|w o|minus|excluding|excl|except|outside|free of"
_FILLERS = "the|any|visible|lv"
_AFTER = "excluded|removed|subtracted|absent"
_SINGULAR = {f"{name.split()[-1]}s": name.split()[-1] for names in ROLES.values() for name in names}

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

    Whole words count, in any case, also in the plural: "LV_Myocardium", "no-reflow", "BloodPool", "Small scars" and
    "Scar (5 SD)" are recognized, "Scarlet" is not. What is negated does not count: "Healthy myocardium (no scar)" is
    myocardium, "non-scar" nothing. "LGE" beside a word for tissue names the image, not the scar. "Scar core by
    probability", as results name it, is scar and no drawn core. Of the right ventricle only the cavity has a role, "RV"
    by itself included: its wall and scar are not reconstructed; a right coronary artery is no right ventricle, and the
    insertion of the right ventricle lies in the septum. No part of the atria, of the aorta or of the chest has a role.
    """
    text = _without_negations(_in_words(name))
    words = set(text.split())
    if _ELSEWHERE & words:
        return None
    if _RIGHT & words:
        cavity = text.strip() in _RIGHT_VENTRICLE or _contains(text, _CAVITY)
        wall = any(_contains(text, ROLES[role]) for role in ("scar", "myocardium"))
        return "right-blood-pool" if cavity and not wall else None
    found = [role for role, names in ROLES.items() if _contains(text, names)]
    if "scar" in found and len(found) > 1 and not _contains(text, _SURE_SCAR):
        found.remove("scar")
    return found[0] if found else None


def could_be_scar(name: str) -> bool:
    """Whether a name holds a word for scar that `role_of` did not follow, such as "RV scar" or "no scar"."""
    return role_of(name) not in SCAR_ROLES and any(_contains(_in_words(name), ROLES[role]) for role in SCAR_ROLES)


def _in_words(name: str) -> str:
    """The lower-case words of a name with a space before and after each, plurals as singulars."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    spaced = re.sub(r"([^\W_]+)-free\b", r"without \1", spaced)
    spaced = re.sub(r"\b(no|non)[\W_]+(reflow|viable)", r"\1\2", spaced)
    words = (_SINGULAR.get(word, word) for word in re.findall(r"[^\W_]+", spaced))
    text = f" {' '.join(words)} ".replace(" late gadolinium enhancement ", " lge ")
    text = re.sub(rf" right coronary( artery| territory)? | {_INSERTION} | core by probability ", " ", text)
    return re.sub(rf" ({_ANY_NAME}) free (?!wall )", r" without \1 ", text)


def _without_negations(text: str) -> str:
    """The words without those that are negated: "no scar or fibrosis", "scar excluded"."""
    text = re.sub(
        rf" ({_NEGATIONS}) ({_FILLERS} )*({_ANY_NAME})( (or|and|nor) ({_FILLERS} )*({_ANY_NAME}))* ", " ", text
    )
    return re.sub(rf" ({_ANY_NAME}) (is )?({_AFTER}) ", " ", text)


def _contains(text: str, names: tuple[str, ...]) -> bool:
    """Whether one of `names` occurs in `text` as whole words."""
    return any(f" {known} " in text for known in names)
