"""Region tags in exports: of healthy wall, border zone, core and unknown wall, and of regions of the healthy wall."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, fields

from deeprecon.data.errors import InputError


@dataclass(frozen=True)
class TissueTags:
    """Tags of elements, as openCARP and similar simulators use them.

    Attributes:
        healthy: None keeps the tags that the elements have, or gives 1 where they have none.
        border, core: zone and core of the scar.
        unknown: wall that no slice shows.
        regions: names of regions of the healthy wall and their tags: aha1 to aha17, endo, mid and epi, or names of
            segments.
    """

    healthy: int | None = None
    border: int = 100
    core: int = 101
    unknown: int = 102
    regions: tuple[tuple[str, int], ...] = ()


STANDARD_TAGS = TissueTags()
TISSUES = tuple(field.name for field in fields(TissueTags) if field.name != "regions")
LAYERS = {"endo": (0.0, 1 / 3), "mid": (1 / 3, 2 / 3), "epi": (2 / 3, 1.0)}
"""Layers of the wall and the depth, 0 at the endocardium to 1 at the epicardium, from where to where each reaches."""
USAGE = "healthy=1 border=100 core=101 unknown=102"
REGION_USAGE = "aha7=207 endo=301 mid=302 epi=303"


def parse_tissue_tags(entries: tuple[str, ...], segments: Collection[str] | None = ()) -> TissueTags:
    """`("border=200", "core=201", "aha7=207")` as tags; what is not named keeps its own.

    Args:
        entries: words NAME=NUMBER, several in an entry too; spaces within the name of a segment are written as _.
        segments: names of segments that are regions; None where they are not known yet, and any name is one.

    Raises:
        InputError: an unknown name, a tag that is no whole number, or healthy wall and scar with one tag.
    """
    tissues: dict[str, int] = {}
    regions: dict[str, int] = {}
    for entry in (word for words in entries for word in words.replace(",", " ").split()):
        name, _, number = entry.partition("=")
        name = plain_name(name)
        known = name in TISSUES or is_region(name) or segments is None or name in map(plain_name, segments)
        if not name or not known or not number.removeprefix("-").isdecimal():
            drawn = f", or the name of a segment: {' '.join(map(plain_name, segments))}" if segments else ""
            raise InputError(f"Cannot understand the tag {entry!r}.", f"Write them as {USAGE} {REGION_USAGE}{drawn}.")
        (tissues if name in TISSUES else regions)[name] = int(number)
    tags = TissueTags(**tissues, regions=tuple(regions.items()))
    healthy = {tags.healthy, *regions.values()}
    if healthy & {tags.border, tags.core, tags.unknown} or tags.unknown in (tags.border, tags.core):
        raise InputError("Two kinds of tissue have the same tag.", f"Write them as {USAGE} {REGION_USAGE}.")
    return tags


def is_region(name: str) -> bool:
    """Whether a name is that of a segment of the AHA or of a layer."""
    return name in LAYERS or aha_number(name) > 0


def aha_number(name: str) -> int:
    """7 of "aha7"; 0 for other names, and those of no segment."""
    found = re.fullmatch(r"aha0?(\d{1,2})", name)
    return int(found[1]) if found and 1 <= int(found[1]) <= 17 else 0


def plain_name(name: str) -> str:
    """A name in lower case, with _ for what is neither a letter nor a digit."""
    return re.sub(r"\W+", "_", name.strip()).lower()
