"""Doubts: what a reader or a check finds contradictory, or has to assume.

A doubt is a value. Readers put it beside what they have read, checks return it, and `deeprecon.jobs.run.Run.consider`
decides: an assumption goes on and is stated beside the result; a contradiction is refused with its way out, unless the
user has accepted its code (`--accept CODE`, the column `accept` of cases.csv, or the question in the panel).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from deeprecon.data.errors import InputError

CODES: dict[str, str] = {
    "calibration-doubtful": "A still arm does not measure 1 g within 5 %.",
    "incidence-reversed": "Far fields are reciprocal only with the opposite directions of incidence.",
    "network-misfit": "A network's images explain the far fields worse than those of Tikhonov regularization.",
    "no-enhanced-wall": "The wall's intensities are one population: nothing is enhanced, and nothing counts as scar.",
    "not-monitored": "A part of the recording has gaps or shows no wearer: no probability, no alarm.",
    "roles-exchanged": "Far fields are reciprocal, or fit the true images, only with source and receiver exchanged.",
    "row-rate": "The rows of an event do not follow each other every 5 s.",
    "scar-fills-wall": "Nearly all of the myocardium is drawn as scar.",
    "segment-not-used": "A segment has a word for scar in its name and is not counted as scar.",
    "sum-of-axes": "The magnitude of an event is taken for a sum of three axes.",
    "threshold-near-healthy": "The threshold lies within 3 standard deviations of healthy wall: noise counts as scar.",
    "user-unknown": "A recording for training does not state who wore the watch.",
    "wave-number-doubtful": "Far fields conserve energy at another wave number or scale than the stated one.",
}
"""Every code and what it means; the documentation lists them."""


@dataclass(frozen=True)
class Doubt:
    """One contradiction or assumption.

    Attributes:
        code: its kind, one of `CODES`.
        where: the file, node, series or array that it is about.
        text: the finding in one sentence.
        way_out: what the user can do about it, in one sentence.
        assumed: True for an assumption, with which the run goes on; False for a contradiction, which must be accepted.
    """

    code: str
    where: str
    text: str
    way_out: str = ""
    assumed: bool = False

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code} is not a code of a doubt")

    def __str__(self) -> str:
        return f"{self.where}: {self.text} ({'assumed' if self.assumed else 'accepted'}: {self.code})"

    def as_json(self) -> dict[str, Any]:
        """The doubt as result.json and events.jsonl hold it."""
        return asdict(self)


class DoubtError(InputError):
    """Contradictions that nobody has accepted.

    Args:
        doubts: all of them, so that the user can decide at once.
    """

    def __init__(self, doubts: Iterable[Doubt]) -> None:
        self.doubts = tuple(doubts)
        self.codes = tuple(dict.fromkeys(doubt.code for doubt in self.doubts))
        super().__init__(
            " ".join(f"{doubt.where}: {doubt.text}" for doubt in self.doubts),
            " ".join(dict.fromkeys(doubt.way_out for doubt in self.doubts if doubt.way_out)),
        )


def not_accepted(doubts: Iterable[Doubt], accepted: Iterable[str]) -> tuple[Doubt, ...]:
    """The contradictions among some doubts whose codes are not accepted."""
    codes = set(accepted)
    return tuple(doubt for doubt in doubts if not doubt.assumed and doubt.code not in codes)


def check_codes(codes: Iterable[str]) -> None:
    """Check the codes that a user wants to accept.

    Raises:
        InputError: unknown ones.
    """
    if unknown := sorted(set(codes) - set(CODES)):
        known = ", ".join(sorted(CODES)) or "none"
        raise InputError(f"There is no code {', '.join(unknown)} to accept.", f"Known codes: {known}.")
