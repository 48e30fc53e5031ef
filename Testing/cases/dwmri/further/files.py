"""Diffusion scans as other scanners and programs write them, made without the product's own simulation and writers."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

Array = npt.NDArray[Any]
AFFINE = np.array([[-2.0, 0, 0, 24], [0, 2, 0, -24], [0, 0, 2, -10], [0, 0, 0, 1]])
SIGMA = 15.0
MASK_VOXELS = 1000
"""At least as many voxels has a brain mask of `head`."""


@dataclass(frozen=True)
class Head:
    """(i, j, k, V) magnitudes with and without noise, (V,) b-values, (V, 3) vectors of FSL, (i, j, k) mask."""

    noisy: Array
    clean: Array
    b: Array
    directions: Array
    mask: Array


def spread(count: int) -> Array:
    """(count, 3) unit vectors on a spiral over the half sphere."""
    n = np.arange(count) + 0.5
    z, angle = n / count, n * np.pi * (1 + 5**0.5)
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], -1)


def head(b0: int = 3, shells: tuple[tuple[float, int], ...] = ((1000.0, 15),), seed: int = 3) -> Head:
    """(24, 24, 10, V): turning fibers and fluid, Rician noise of SIGMA at a signal of 350."""
    random = np.random.default_rng(seed)
    b = np.concatenate([np.zeros(b0), *(np.full(count, value) for value, count in shells)])
    directions = np.concatenate([np.zeros((b0, 3)), *(spread(count) for _, count in shells)])
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (24, 24, 10)], indexing="ij")
    r = x**2 + y**2 + (0.8 * z) ** 2
    mask = r < 0.8
    fluid = (x**2 + (1.5 * y) ** 2 < 0.06) & mask
    fiber = np.stack([np.cos(2 * y), np.sin(2 * y), 0.3 * x], -1)
    fiber /= np.linalg.norm(fiber, axis=-1, keepdims=True)
    along = (fiber @ directions.T) ** 2 * (0.3 + 0.7 * (r[..., None] > 0.15))
    diffusivity = np.where(fluid[..., None], 3e-3, 0.4e-3 + 1.2e-3 * along)
    clean = np.where(fluid, 800.0, np.where(mask, 350.0, 0.0))[..., None] * np.exp(-b * diffusivity)
    noisy = np.hypot(clean + random.normal(0, SIGMA, clean.shape), random.normal(0, SIGMA, clean.shape))
    return Head(noisy.astype(np.float32), clean.astype(np.float32), b, directions, mask)


def table(image: Path, b: npt.ArrayLike, directions: npt.ArrayLike) -> Path:
    """Write .bval and .bvec of an image's name; returns the image."""
    stem = image.with_name(image.name.split(".")[0])
    stem.with_suffix(".bval").write_text(" ".join(f"{value:g}" for value in np.asarray(b)) + "\n", "utf-8")
    rows = (" ".join(f"{value:.6f}" for value in row) for row in np.asarray(directions).T)
    stem.with_suffix(".bvec").write_text("\n".join(rows) + "\n", "utf-8")
    return image


def nifti(
    path: Path, array: Array, b: npt.ArrayLike | None = None, directions: npt.ArrayLike = (), affine: Array = AFFINE
) -> Path:
    """Write (i, j, k, ...) by nibabel, with its table where there are b-values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path if b is None else table(path, b, directions)


def nrrd(path: Path, scan: Head, array: Array, encoding: str = "gzip", b: Array | None = None) -> Path:
    """Write a DWI NRRD as DWIConvert does; a name ending in .nhdr has its data beside it."""
    kind = {"f4": "float", "i2": "short", "u2": "ushort"}[array.dtype.str[1:]]
    b = scan.b if b is None else b
    header = [
        "NRRD0005", "content: exported", f"type: {kind}", "dimension: 4", "space: right-anterior-superior",
        "sizes: " + " ".join(map(str, array.shape)), "space directions: (-2,0,0) (0,2,0) (0,0,2) none",
        "kinds: space space space list", "endian: little", f"encoding: {encoding}", 'space units: "mm" "mm" "mm"',
        "space origin: (24,-24,-10)", "measurement frame: (1,0,0) (0,1,0) (0,0,1)", "modality:=DWMRI",
        f"DWMRI_b-value:={b.max():g}",
    ]  # fmt: skip
    world = scan.directions * [-1, 1, 1] * np.sqrt(b / b.max())[:, None]
    header += [f"DWMRI_gradient_{n:04d}:={x:.9f} {y:.9f} {z:.9f}" for n, (x, y, z) in enumerate(world)]
    content = array.tobytes("F")
    content = gzip.compress(content) if encoding == "gzip" else content
    if path.suffix == ".nhdr":
        header.insert(-len(scan.b) - 2, f"data file: {path.stem}.raw")
        path.with_suffix(".raw").write_bytes(content)
        content = b""
    path.write_bytes("\n".join([*header, "", ""]).encode() + content)
    return path


def dicom(folder: Path, scan: Head, slices: int = 4, implicit: bool = False, **elements: Any) -> Path:
    """One MR file for each slice and volume, b-values and directions in the standard's elements.

    Entries of `elements` are values, or functions of the volume.
    """
    folder.mkdir(parents=True)
    number = 0
    for volume in range(len(scan.b)):
        for k in range(slices):
            number += 1
            pixels = np.ascontiguousarray(np.rint(scan.noisy[:, :, k, volume]).astype(np.uint16).T)
            meta = FileMetaDataset()
            meta.FileMetaInformationVersion = b"\0\1"
            meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, f"2.25.7{number:04d}"
            meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            meta.ImplementationClassUID = "2.25.1"
            path = folder / f"IM{number:04d}"
            data = FileDataset(str(path), {}, bytes(128), meta, is_implicit_VR=implicit, is_little_endian=True)
            standard: dict[str, Any] = {
                "SOPClassUID": MRImageStorage, "SOPInstanceUID": f"2.25.7{number:04d}", "StudyInstanceUID": "2.25.8",
                "SeriesInstanceUID": "2.25.9", "Modality": "MR", "PatientID": "1", "InstanceNumber": number,
                "AcquisitionNumber": volume + 1, "PixelSpacing": [2, 2], "SliceThickness": 2,
                "ImageOrientationPatient": [1, 0, 0, 0, -1, 0], "ImagePositionPatient": [-24, 24, -10 + 2 * k],
                "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": pixels.shape[0],
                "Columns": pixels.shape[1], "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
                "PixelRepresentation": 0, "PixelData": pixels.tobytes(), "DiffusionBValue": float(scan.b[volume]),
            }  # fmt: skip
            if scan.directions[volume].any():
                x, y, z = scan.directions[volume]
                standard["DiffusionGradientOrientation"] = [float(x), float(-y), float(z)]
            for name, value in (standard | elements).items():
                value = value(volume) if callable(value) else value
                if value is not None:
                    setattr(data, name, value)
            data.save_as(path)
    return folder


def bids(folder: Path) -> Path:
    """An empty dataset."""
    folder.mkdir()
    (folder / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.10.0"}), "utf-8")
    return folder


def values(path: Path) -> Array:
    """(i, j, k, V) of a NIfTI file, the axes to the right, front and head."""
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


def canonical(array: Array) -> Array:
    """The same axes for an array on AFFINE."""
    return array[::-1]
