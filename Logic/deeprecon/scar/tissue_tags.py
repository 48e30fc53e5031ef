"""Region tags of tissue in exports: what the elements of healthy wall, border zone, core and unknown wall get."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from deeprecon.data.errors import InputError


@dataclass(frozen=True)
class TissueTags:
    """Tags of elements, as openCARP and similar simulators use them.

    Attributes:
        healthy: None keeps the tags that the elements have, or gives 1 where they have none.
        border, core: zone and core of the scar.
        unknown: wall that no slice shows.
    """

    healthy: int | None = None
    border: int = 100
    core: int = 101
    unknown: int = 102


STANDARD_TAGS = TissueTags()
TISSUES = tuple(field.name for field in fields(TissueTags))
USAGE = "healthy=1 border=100 core=101 unknown=102"


def parse_tissue_tags(entries: tuple[str, ...]) -> TissueTags:
    """`("border=200", "core=201")` as tags; what is not named keeps its own.

    Raises:
        InputError: an unknown tissue, a tag that is no whole number, or healthy wall and scar with one tag.
    """
    tags = STANDARD_TAGS
    for entry in (word for words in entries for word in words.replace(",", " ").split()):
        tissue, _, number = entry.partition("=")
        if tissue.lower() not in TISSUES or not number.removeprefix("-").isdecimal():
            raise InputError(f"Cannot understand the tag {entry!r}.", f"Write them as {USAGE}.")
        tags = replace(tags, **{tissue.lower(): int(number)})
    if tags.healthy in (tags.border, tags.core, tags.unknown) or tags.unknown in (tags.border, tags.core):
        raise InputError("Two kinds of tissue have the same tag.", f"Write them as {USAGE}.")
    return tags
