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
    "b0-only": "A scan has no diffusion-weighted volume, as one with reversed phase encoding: there is no tensor.",
    "b0-threshold": "No volume of a diffusion scan has a b-value below the threshold: its lowest shell counts as b0.",
    "calibration-doubtful": "A still arm does not measure 1 g within 5 %.",
    "clock-change": "The clock of a recording jumps by an hour, as for daylight saving time.",
    "ct-clipped": "The values of a CT were cut to a window: bone and contrast are missing.",
    "ct-offset": "The values of a CT are no HU: air, lungs or tissue lie elsewhere.",
    "ct-partial": "A CT does not fill the field of view: what lies outside of it is unknown and does not count.",
    "damaged-blocks": "Blocks of a watch's file are damaged: their checksum is wrong.",
    "date-order": "The dates of a recording may be day/month or month/day.",
    "dicom-passed-over": "A DICOM folder holds files that are no slices, such as structures, reports or screenshots.",
    "film-body-part": "The file of an X-ray names another part of the body than the chest.",
    "film-laterality": "The file of an X-ray states a side, as for one hand; assumed: it shows the whole chest.",
    "film-not-frontal": "The file of an X-ray states a lateral or oblique view.",
    "film-orientation": "The file of an X-ray does not state clearly which way is up.",
    "film-polarity": "The file of an X-ray contradicts itself about which end of its values is bright.",
    "film-size": "The chest is larger or smaller on the film than chests are, by the size of its pixels.",
    "film-spacing": "The file of an X-ray does not state the size of its pixels; assumed: a detector of usual size.",
    "film-turned": "The X-ray was stored turned or mirrored, as its file states; assumed: it was turned upright.",
    "film-view": "The file of an X-ray contradicts itself about PA and AP, or names an unknown view.",
    "ge-b-values": "b-values of 1000000000 and more are GE's, which add this number.",
    "head-moved": "Slices of a diffusion scan differ since the head lies elsewhere in their volumes; not replaced.",
    "healthy-level-drifts": "The intensity of healthy wall drifts through a stack; each slice has a level of its own.",
    "images-without-place": "Images of a DICOM series have no place in the patient (no ImagePositionPatient).",
    "incidence-reversed": "Far fields are reciprocal only with the opposite directions of incidence.",
    "long-axis-alone": "Long-axis slices alone hold little of the wall: scar has no volume, mass or percentage.",
    "lungs-not-found": "No lungs were found in a CT: assumed, the middle of the scan is that of the field of view.",
    "mask-probability": "A mask holds probabilities: what is above 0.5 (50 %) is inside.",
    "mask-resampled": "A mask or labels have another grid than their image, and were interpolated.",
    "mesh-axes-assumed": "A mesh does not state its patient axes; assumed: RAS.",
    "mesh-has-fibers": "The elements of a mesh have fibers already; assumed: these are right, none are made by rule.",
    "mesh-holds-blood": "A mesh holds most of what the slices show as blood: more than the wall.",
    "mesh-left-out": "Of a mesh, unused nodes, cells listed twice, and faces and lines beside elements do not count.",
    "mesh-region-assumed": "Only those regions of a mesh are used that lie in what the slices show as wall.",
    "mesh-region-unclear": "It is unclear which regions of a mesh are wall.",
    "misfit-high": "The image of a full-wave inversion leaves much of the measured field unexplained.",
    "network-misfit": "A network's images explain the far fields worse than those of Tikhonov regularization.",
    "no-enhanced-wall": "The wall's intensities are one population: nothing is enhanced, and nothing counts as scar.",
    "noise-too-high": "The noise level of a diffusion scan is above twice that of its background and repeated b0.",
    "noise-too-low": "The noise level of a diffusion scan is below half of that of its background and repeated b0.",
    "noise-uncertain": "A diffusion scan has few volumes, none repeated: its noise level is that of the background.",
    "not-monitored": "A part of the recording has gaps or shows no wearer: no probability, no alarm.",
    "not-reciprocal": "Fields from one place to another and back differ: places of sources or receivers are wrong.",
    "packet-times": "The samples of a recording come in packets that have one time.",
    "pair-mismatch": "The X-ray of a pair for training does not fit the projection of its CT, or fits better turned.",
    "part-left-out": "A scan of a dataset is a phase, a real or an imaginary part, no magnitude; it is left out.",
    "phase-image": "A diffusion scan is a phase or imaginary image by its name, its ImageType or its values.",
    "real-valued": "A diffusion scan has negative noise, so it is real-valued: negatives stay, no Rician correction.",
    "receiver-dead": "Receivers of measured waves measure nothing or always the same; they are left out.",
    "roles-exchanged": "Far fields are reciprocal, or fit the true images, only with source and receiver exchanged.",
    "row-rate": "The rows of an event do not follow each other every 5 s.",
    "scar-fills-wall": "Nearly all of the myocardium is drawn as scar.",
    "segment-not-used": "A segment has a word for scar in its name and is not counted as scar.",
    "series-differ": "DICOM series form one stack by their places, and differ in sequence, patient or time.",
    "series-joined": "A stack is stored as one DICOM series for each slice; assumed: they belong together.",
    "shell-assumed": "An open surface shows the scar of the wall beneath it.",
    "single-volume": "A diffusion scan is one volume without weighting: its noise is unknown, and it stays as it is.",
    "skipped-volumes": "A DWI NRRD marks volumes as to be skipped (DWMRI_skip); they are left out.",
    "slice-of-stack": "A DICOM file was given that is a series of one slice, of a stack of such series.",
    "source-not-of-run": "The images that DICOM objects are to be filed with were not read by the run.",
    "sum-of-axes": "The magnitude of an event is taken for a sum of three axes.",
    "tags-in-several-arrays": "The cells of a mesh have several arrays that may be region tags; the first is taken.",
    "threshold-near-healthy": "The threshold lies within 3 standard deviations of healthy wall: noise counts as scar.",
    "time-convention-doubtful": "The phases of incident fields follow the distance with the opposite time convention.",
    "time-zone-unknown": "The times of a recording have no time zone.",
    "trace-volume": "A diffusion scan has an average over the directions, appended by the scanner; it is left out.",
    "user-unknown": "A recording for training does not state who wore the watch.",
    "wave-number-doubtful": "The energy of far fields or the phases of incident fields belong to another wave number.",
    "wrapped-16-bit": "A diffusion scan has negative numbers that are unsigned 16-bit numbers read as signed ones.",
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

    @staticmethod
    def from_json(values: list[dict[str, Any]]) -> tuple[Doubt, ...]:
        """Doubts that `as_json` wrote; those of unknown codes are left out."""
        return tuple(Doubt(**value) for value in values if value.get("code") in CODES)

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


TO_CONTINUE = "To continue all the same: --accept"
"""Begins the words about how to accept contradictions; their codes follow."""


def how_to_accept(codes: Iterable[str]) -> str:
    """How to go on in spite of contradictions of some codes; empty without codes."""
    names = " ".join(codes)
    return f"{TO_CONTINUE} {names}" if names else ""


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
