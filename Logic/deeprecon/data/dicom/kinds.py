"""What DICOM files hold besides images that are read, and what to do with it."""

from __future__ import annotations

import re

_STORAGE = "1.2.840.10008.5.1.4.1.1."
SECONDARY_CAPTURE = _STORAGE + "7"
SEGMENTATION, SURFACES, STRUCTURES = "DICOM segmentation", "surface segmentation", "RT structure set"
CONTOURS = SEGMENTATION, SURFACES, STRUCTURES
_KINDS = {
    "1.2.840.10008.1.3.10": "DICOM directory",
    _STORAGE + "481.2": "RT dose",
    _STORAGE + "481.3": STRUCTURES,
    _STORAGE + "481.4": "RT treatment record",
    _STORAGE + "481.5": "RT plan",
    _STORAGE + "481.8": "RT plan",
    _STORAGE + "66.1": "spatial registration",
    _STORAGE + "66.2": "set of fiducials",
    _STORAGE + "66.3": "spatial registration",
    _STORAGE + "66.4": SEGMENTATION,
    _STORAGE + "66.5": SURFACES,
    _STORAGE + "66.6": "set of fiber tracts",
    _STORAGE + "66.7": SEGMENTATION,
    _STORAGE + "66": "raw data",
    _STORAGE + "4.2": "spectroscopy",
    _STORAGE + "9": "waveform",
    _STORAGE + "11": "presentation state",
    _STORAGE + "30": "parametric map",
    _STORAGE + "67": "mapping to real world values",
    _STORAGE + "88.59": "key object selection",
    _STORAGE + "88": "structured report",
    _STORAGE + "104.1": "PDF document",
    _STORAGE + "104": "document",
    "1.3.12.2.1107.5.9.1": "private data of Siemens",
    "1.3.46.670589.11.0.0.12": "private data of Philips",
}
"""Names of storage classes, by the beginning of their UID: of everything that is no image that could be read."""
_MODALITIES = {
    "RTSTRUCT": STRUCTURES, "RTPLAN": "RT plan", "RTDOSE": "RT dose", "RTRECORD": "RT treatment record",
    "SEG": SEGMENTATION, "SR": "structured report", "KO": "key object selection", "PR": "presentation state",
    "REG": "spatial registration", "FID": "set of fiducials", "DOC": "document", "ECG": "waveform",
}  # fmt: skip
_HEAD_CLASS = re.compile(rb"\x02\x00\x02\x00UI(?:..)([0-9.]+)", re.DOTALL)  # MediaStorageSOPClassUID


def kind_of_class(uid: str) -> str:
    """What files of a storage class hold, as "RT structure set"; "" for images and unknown classes."""
    starts = (uid.rsplit(".", count)[0] for count in range(uid.count(".")))
    return next((_KINDS[start] for start in starts if start in _KINDS), "")


def kind_of_head(head: bytes) -> str:
    """What a file holds by the storage class among its first bytes, see `kind_of_class`."""
    found = _HEAD_CLASS.search(head)
    return "" if found is None else kind_of_class(found[1].decode())


def kind_of_modality(modality: str) -> str:
    """What files of a modality hold, where that is no image; for files that do not state their storage class."""
    return _MODALITIES.get(modality, "")


def way_out(kind: str) -> str:
    """What the user can do with a file that holds no image."""
    if kind in CONTOURS:
        extension = "SlicerRT" if kind == STRUCTURES else "QuantitativeReporting"
        return f"Load it into Slicer with the extension {extension}, and save the segmentation as .seg.nrrd."
    return "Give the files of the image series."


def with_article(noun: str) -> str:
    """ "a DICOM segmentation", "an RT structure set"."""
    spelled = noun.startswith("RT ")  # "R" is pronounced with a vowel
    return f"{'an' if spelled or noun[0] in 'aeiou' else 'a'} {noun}"
