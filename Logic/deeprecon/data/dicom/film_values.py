"""Gray values of radiographs: lookup tables, windows, which end is bright, and padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, first_item, numbers
from deeprecon.data.dicom.pixels import Rescale
from deeprecon.data.doubts import Doubt

Pixels = npt.NDArray[np.float64]
Stored = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]


def display_values(file: DicomFile, stored: Stored) -> tuple[Pixels, tuple[Doubt, ...]]:
    """Stored values after the modality table or rescale, then the VOI table or window, then the polarity.

    The order is that of PS3.3, C.7.6.3.1.2, C.11.1 and C.11.2. What absorbs more is brighter in the end.

    Args:
        file: of the image.
        stored: (rows, columns), see `pixels.decode`.

    Returns:
        The values, and doubts about their polarity.
    """
    signed = stored.dtype.kind == "i"
    scale, table = Rescale.of_dataset(file.dataset), _table(file, "ModalityLUTSequence", signed)
    pixels = stored.astype(float)
    rising = 1.0
    if table is not None:
        pixels, rising = _look_up(table, pixels), _direction(table)
    elif not scale.is_identity:
        pixels, rising = pixels * scale.slope + scale.intercept, float(np.sign(scale.slope))
    table = _table(file, "VOILUTSequence", signed)
    if table is not None:
        pixels, rising = _look_up(table, pixels), rising * _direction(table)
    else:
        pixels = _windowed(file, pixels)
    inverse, doubts = _polarity(file, rising)
    return (pixels.max() + pixels.min() - pixels if inverse else pixels), doubts


def padding(file: DicomFile, stored: Stored) -> Mask | None:
    """(rows, columns) False for padding; None where there is none.

    Padding are the pixels of Pixel Padding Value, or between it and Pixel Padding Range Limit (PS3.3, C.7.5.1.1.2),
    that are connected with the border of the image: within it the same values are saturated pixels.
    """
    from scipy import ndimage

    keys = ("PixelPaddingValue", "PixelPaddingRangeLimit")
    values = [value for key in keys if (value := _stored_number(file, key, stored)) is not None]
    if not values:
        return None
    found = (stored >= min(values)) & (stored <= max(values))
    labels, _ = ndimage.label(found)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    at_rim = np.isin(labels, np.unique(rim[rim > 0]))
    return ~at_rim if at_rim.any() else None


def _polarity(file: DicomFile, rising: float) -> tuple[bool, tuple[Doubt, ...]]:
    """Whether values are to be inverted so that what absorbs more is brighter.

    Args:
        file: of the image.
        rising: 1 where larger stored values give larger values, -1 where they give smaller ones.
    """
    where, way_out = str(file.path), "Compare it with a viewer: air has to be dark; --invert swaps dark and bright."
    photometric, shape = file.text("PhotometricInterpretation"), file.text("PresentationLUTShape").upper()
    sign = next(iter(numbers(file.dataset, "PixelIntensityRelationshipSign")), 0.0)
    inverse = photometric == "MONOCHROME1"
    physical = sign * rising > 0  # larger values: more of the beam, so less was absorbed
    if file.text("PresentationIntentType").upper() == "FOR PROCESSING" and sign in (1, -1):
        if physical == inverse:
            return inverse, ()
        found = (
            f"It is meant for processing, and its PixelIntensityRelationshipSign {sign:g} decides what is bright, not "
            f"its {photometric}."
        )
        return physical, (Doubt("film-polarity", where, found, way_out, assumed=True),)
    found = f"Its header contradicts itself about dark and bright: {photometric}"
    if shape in ("INVERSE", "IDENTITY") and (shape == "INVERSE") != inverse:
        inverse = shape == "INVERSE"
        return inverse, (Doubt("film-polarity", where, f"{found}, but PresentationLUTShape {shape}.", way_out),)
    if sign in (1, -1) and physical != inverse:
        found += f", but PixelIntensityRelationshipSign {sign:g}."
        return inverse, (Doubt("film-polarity", where, found, way_out),)
    return inverse, ()


def _windowed(file: DicomFile, pixels: Pixels) -> Pixels:
    """Pixels after the first window, where the file has one; the array may be changed."""
    center, width = (next(iter(numbers(file.dataset, key)), None) for key in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width < 1:
        return pixels
    if file.text("VOILUTFunction").upper() == "SIGMOID":
        sigmoid: Pixels = 1 / (1 + np.exp(-4 * (pixels - center) / width))
        return sigmoid
    pixels -= center - 0.5
    pixels /= max(width - 1, 1)
    pixels += 0.5
    return np.clip(pixels, 0, 1, out=pixels)


def _table(file: DicomFile, sequence: str, signed: bool) -> tuple[int, Pixels] | None:
    """The first table of a LUT sequence: the value of its first entry, and its entries.

    The value of the first entry has the sign of the pixels (PS3.3, C.11.1.1); entries of 8 bits may be packed.
    """
    item = first_item(file.dataset, sequence)
    if item is None or len(item.get("LUTDescriptor") or ()) < 3 or not item.get("LUTData"):
        return None
    count, first, bits = item.LUTDescriptor
    count = count or 65536
    data = item.LUTData  # bytes or numbers, as the file encodes it
    if isinstance(data, bytes):
        values = np.frombuffer(data, "u1" if bits <= 8 and len(data) < 2 * count else "<u2")
    else:
        values = np.atleast_1d(data).astype(np.uint16)
    return (int(first) - 65536 if signed and first >= 32768 else int(first)), values[:count].astype(float)


def _look_up(table: tuple[int, Pixels], pixels: Pixels) -> Pixels:
    first, values = table
    looked_up: Pixels = values[np.clip(np.rint(pixels - first).astype(int), 0, len(values) - 1)]
    return looked_up


def _direction(table: tuple[int, Pixels]) -> float:
    """1 for a table that rises, -1 for one that falls."""
    return float(np.sign(table[1][-1] - table[1][0]))


def _stored_number(file: DicomFile, keyword: str, stored: Stored) -> int | None:
    """The number of an element that has the type of the stored pixels; None where there is none.

    Bits that are not stored count neither in it nor in the pixels.
    """
    from pydicom.datadict import tag_for_keyword

    element = file.dataset.get(tag_for_keyword(keyword))
    if element is None or element.value in (None, ""):
        return None
    value, bits = element.value, file.count("BitsStored")
    number = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else int(np.atleast_1d(value)[0])
    number &= (1 << bits) - 1  # as in the pixels
    return number - (1 << bits) if stored.dtype.kind == "i" and number >> (bits - 1) else number
