"""What kind of image a diffusion scan is: a magnitude, a phase, real-valued, or one whose 16-bit numbers wrapped.

First its name (the BIDS entity `part`, the endings of dcm2niix) and its sidecar (ImageType, ComplexImageComponent) say
so, then its values.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import Doubt

PARTS = {
    "phase": {"P", "PHASE", "PHASE MAP"},
    "imag": {"I", "IMAGINARY"},
    "real": {"R", "REAL"},
}
"""Part of a complex image as BIDS names it -> words of ImageType and ComplexImageComponent."""
_ENDINGS = {"ph": "phase", "phase": "phase", "real": "real", "imaginary": "imag"}
"""Of file names that dcm2niix writes, after the last underscore."""

WRAPPED_BELOW = -1000
"""Stored value below which whole numbers may be wrapped ones."""
WRAPPED_GAP = 1000
"""Width of the empty range above the wrapped numbers: they are the highest of the image, far from its lowest."""
UNDERSHOOT = -100
"""Stored value down to which interpolation may have left negative numbers in an image that uses all 16 bits."""
MAX_SHARE_OF_ABOVE, MAX_SHARE_OF_NEGATIVE = 0.02, 0.25
"""Numbers from -1000 to -1 over those from 0 to 999, and over all negative ones, where the range of 16 bits is full."""
PADDING_SHARE = 1e-3
"""Of the values, from which a single low number is the padding around the image."""
MAX_SHARE_OUTSIDE, MAX_SHARE_INSIDE = 0.1, 2e-3
"""Of negative values outside and inside of the head, above which noise is negative: few are so by interpolation."""
HEAD_LEVEL = 0.3
"""Of the 98th percentile of the mean b0, above which a voxel counts as head here."""
MAX_PHASE_MEAN = 0.1
"""Mean of the b0 volumes of a phase over its standard deviation: the mean of a real-valued image is far above 0."""
QUARTER_TOLERANCE = 0.05
"""Of the range, by which the quartiles of a phase differ from those of an even distribution."""


def stated_part(path: Path, sidecar: dict[str, Any]) -> str:
    """phase, imag or real, where the name of a file or its sidecar says so; else empty."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii").lower()
    if (found := re.search(r"(?:^|_)part-(phase|imag|real)(?=_|$)", stem)) is not None:
        return found[1]
    if "_" in stem and stem.rpartition("_")[2] in _ENDINGS:
        return _ENDINGS[stem.rpartition("_")[2]]
    words: set[str] = set()
    for key in ("ImageType", "ComplexImageComponent"):
        value = sidecar.get(key) or ()
        words |= {str(word).strip().upper() for word in (value.split("\\") if isinstance(value, str) else value)}
    return next((part for part, names in PARTS.items() if words & names), "")


def read_sidecar(path: Path) -> dict[str, Any]:
    """The content of a JSON file, or of that of the name of a NIfTI or NRRD file; empty where none is readable."""
    name = path.name.removesuffix(".gz")
    for ending in (".nii", ".nrrd", ".nhdr", ".json"):
        name = name.removesuffix(ending)
    sidecar = path.with_name(f"{name}.json")
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def entries_of_result(sidecar: dict[str, Any], finer: bool) -> dict[str, Any]:
    """The entries of a sidecar that hold for what was made from its scan: of a finer grid, the slices are others."""
    lost = {"SliceTiming"} if finer else set()
    return {key: value for key, value in sidecar.items() if key not in lost}


def part_doubts(part: str, name: str) -> tuple[Doubt, ...]:
    """The doubt about a scan that is a part of a complex image by its name or sidecar, see `stated_part`."""
    if part in ("phase", "imag"):
        kind = "phase" if part == "phase" else "imaginary"
        return (_phase(name, f"its name or sidecar says that it is a {kind} image, not a magnitude."),)
    if part == "real":
        return (_real(name, "its name or sidecar says that it is real-valued"),)
    return ()


def judge_values(scan: DwiScan) -> DwiScan:
    """The scan with the doubts that its values raise about its kind; wrapped numbers are undone.

    Whether the user accepts that is for `Run.consider` to find out.
    """
    if (unwrapped := _unwrapped(scan)) is not None:
        return unwrapped
    if scan.signed:
        return scan
    if doubt := _phase_doubt(scan) or _real_doubt(scan):
        return replace(scan, doubts=(*scan.doubts, doubt))
    return scan


def _phase(name: str, text: str) -> Doubt:
    way_out = "Give the magnitude; if this is accepted, it is denoised as a real-valued image."
    return Doubt("phase-image", name, text, way_out)


def _real(name: str, text: str) -> Doubt:
    return Doubt(
        "real-valued",
        name,
        f"{text}: negative values are kept, and no bias of magnitudes is corrected.",
        "Give the magnitude if it should be one.",
        assumed=True,
    )


def _unwrapped(scan: DwiScan) -> DwiScan | None:
    """The scan with 65,536 added to its wrapped numbers; None where there are none."""
    slope, intercept = scan.scaling
    array = scan.array
    if array.dtype.kind not in "if" or not (array.min() - intercept) / slope < WRAPPED_BELOW:
        return None
    stored: npt.NDArray[Any] = array if scan.scaling == (1.0, 0.0) else (array.astype(float) - intercept) / slope
    stored = np.where(np.isfinite(stored), stored, 0)
    whole = np.round(stored)
    if np.abs(stored - whole).max() > 0.05 or whole.min() < -32768 or whole.max() > 32767:
        return None
    low = whole < WRAPPED_BELOW
    floor, top = float(whole[~low].min(initial=0.0)), float(whole[low].max())
    full = _is_full_range(whole)
    straddles = full or (whole.min() < -30000 and whole.max() > 30000)
    padding = len(np.unique(whole[low])) == 1 and low.mean() > PADDING_SHARE
    if padding or (floor - top < WRAPPED_GAP and not straddles) or _even(whole):
        return None
    wrapped = whole < (0 if full else UNDERSHOOT if straddles else WRAPPED_BELOW)
    text = (
        f"{wrapped.sum()} values from {whole[wrapped].min():.0f} to {whole[wrapped].max():.0f} are probably unsigned "
        "16-bit numbers that were read as signed ones: they are the brightest, not the darkest."
    )
    way_out = "Convert the scan again as unsigned or floating numbers; if this is accepted, 65536 is added to them."
    array = (array.astype(float) + np.where(wrapped, 65536 * slope, 0)).astype(
        array.dtype if array.dtype.kind == "f" else np.uint16 if floor >= 0 else np.int32
    )
    return replace(scan, array=array, doubts=(*scan.doubts, Doubt("wrapped-16-bit", scan.name, text, way_out)))


def _is_full_range(whole: npt.NDArray[Any]) -> bool:
    """Whether negative numbers are frequent far from 0 and rare next to it, where those of noise are the most frequent.

    They are the brightest of an image then that uses all 16 bits, so that no range is empty.
    """
    negative = int(np.count_nonzero(whole < 0))
    below, above = (int(np.count_nonzero((whole >= low) & (whole < low + 1000))) for low in (-1000, 0))
    return 0 < below < min(MAX_SHARE_OF_ABOVE * above, MAX_SHARE_OF_NEGATIVE * negative)


def _phase_doubt(scan: DwiScan) -> Doubt | None:
    text = "its values look like those of a phase image, not of a magnitude: spread evenly over their range."
    b0 = scan.gradients.b0
    values = np.asarray(scan.array[..., b0 if b0.any() else ~b0], np.float64)
    values = values[np.isfinite(values) & (values != 0)]
    if values.size < 100 or not _even(values):
        return None
    if values.min() < 0 and abs(values.mean()) > MAX_PHASE_MEAN * values.std():
        return None
    return _phase(scan.name, text)


def _even(values: npt.NDArray[Any]) -> bool:
    """Whether values other than 0 are spread evenly over their range."""
    values = values[values != 0]
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    quarters = np.quantile(values, (0.25, 0.5, 0.75)) if values.size and high > low else np.zeros(3)
    places = (quarters - low) / max(high - low, 1e-12)
    return bool(np.abs(places - (0.25, 0.5, 0.75)).max() < QUARTER_TOLERANCE)


def _real_doubt(scan: DwiScan) -> Doubt | None:
    array: npt.NDArray[Any] = scan.array
    if not (array < 0).any():
        return None
    lowest = array == array.min()
    padding = lowest.sum() > max(0.5 * (array < 0).sum(), PADDING_SHARE * array.size)
    fill = lowest.all(axis=-1) if padding else np.zeros(array.shape[:-1], bool)
    b0 = scan.gradients.b0
    mean = np.nan_to_num(scan.array[..., b0 if b0.any() else ~b0].mean(axis=-1, dtype=np.float64))
    head = mean > HEAD_LEVEL * np.percentile(mean, 98)
    shares = []
    for place in (head, ~head):
        values = array[place & ~fill]
        shares.append(float((values < 0).sum()) / max(int(np.count_nonzero(values)), 1))
    inside, outside = shares
    if inside <= MAX_SHARE_INSIDE and outside <= MAX_SHARE_OUTSIDE:
        return None
    return _real(
        scan.name, f"{100 * inside:.2g} % of its values in the head and {100 * outside:.2g} % around are negative"
    )
