"""Reading and writing diffusion scans: NIfTI with bval and bvec files, DWI NRRD; reading MRtrix images and DICOM
series.

DWI NRRD: https://www.na-mic.org/wiki/NAMIC_Wiki:DTI:Nrrd_format. The b-value of a volume is the nominal one times the
squared length of its vector, and vectors are in the measurement frame.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.diffusion import read_dwi_dicom
from deeprecon.data.dicom.file import open_dicom
from deeprecon.data.diffusion.gradients import Choices, GradientTable, from_fsl, gradient_table, read_fsl, write_fsl
from deeprecon.data.diffusion.kinds import part_doubts, read_sidecar, stated_part
from deeprecon.data.diffusion.scan import DwiScan, usable_scan
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.formats.mif import read_mif
from deeprecon.data.formats.nifti import read_nifti, refuse_pair, write_nifti
from deeprecon.data.formats.nrrd import Nrrd, read_nrrd, write_nrrd
from deeprecon.data.volume_io import NIFTI, NRRD

_DOUBTS = "DeepRecon.doubts"
"""Key of a NRRD file: doubts about the file that it was made from, as JSON."""
MIF = (".mif", ".mif.gz")
SCAN_ENDINGS = (*NIFTI, *NRRD, *MIF)
"""Of the files that a scan is read from; DICOM files have any."""
_FORMATS = (
    f"NIfTI ({', '.join(NIFTI)}) with .bval and .bvec, DWI NRRD ({', '.join(NRRD)}), MRtrix ({', '.join(MIF)}) or a "
    "DICOM folder"
)


@names_damage
def read_dwi(path: Path, bval: Path | None = None, bvec: Path | None = None, choices: Choices | None = None) -> DwiScan:
    """Read a diffusion scan in the orientation that its file has.

    Args:
        path: a file of the formats above, a DICOM folder, or one file of a DICOM series.
        bval, bvec: of a NIfTI file; those of the same name in its folder if left out.
        choices: of the user about its volumes.

    Raises:
        InputError: missing, unknown or damaged files, no 4D image, a table that does not fit, or a broken geometry.
    """
    return usable_scan(_read(path, bval, bvec, choices))


@names_damage
def read_gradients(path: Path) -> GradientTable:
    """The gradients of all volumes of a scan file, also of those that `read_dwi` leaves out; errors as there."""
    return _read(path).gradients


def _read(path: Path, bval: Path | None = None, bvec: Path | None = None, choices: Choices | None = None) -> DwiScan:
    if not path.exists():
        raise InputError(f"There is no file {path}.", "Check the path.")
    name = path.name.lower()
    try:
        if path.is_dir():
            scan = read_dwi_dicom(path, choices=choices)
        elif name.endswith(NIFTI):
            scan = _read_nifti(path, *fsl_files(path, bval, bvec), choices)
        elif name.endswith(NRRD):
            scan = _read_nrrd(path, choices)
        elif name.endswith(MIF):
            scan = _read_mif(path, choices)
        elif (file := open_dicom(path)) is not None:
            scan = read_dwi_dicom(path, file, choices)
        else:
            refuse_pair(path)
            raise InputError(f"{path} is of an unknown kind.", f"Give {_FORMATS}.")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.", "Copy or export it again.") from error
    return scan


def fsl_files(path: Path, bval: Path | None = None, bvec: Path | None = None) -> tuple[Path, Path]:
    """The .bval and .bvec file of a NIfTI file: those given, else those of its name (.bvals and .bvecs too).

    Raises:
        InputError: there is none.
    """
    stem = path.name.removesuffix(".gz").removesuffix(".nii")

    def located(given: Path | None, kind: str) -> Path:
        if given is not None:
            return given
        for name in (f"{stem}.{kind}", f"{stem}.{kind}s", f"{kind}s", kind):
            if (path.parent / name).is_file():
                return path.parent / name
        raise InputError(f"There is no {kind} file in the folder of {path}.", f"Give it with --{kind}.")

    return located(bval, "bval"), located(bvec, "bvec")


def write_dwi(path: Path, scan: DwiScan) -> dict[str, Path]:
    """Write a scan in the format of the path's ending, atomically; a NIfTI file gets .bval and .bvec of its name.

    Returns:
        The files by role: dwi, and bval and bvec for NIfTI.

    Raises:
        InputError: an ending that is neither NIfTI nor NRRD.
    """
    name = path.name.lower()
    if name.endswith(NIFTI):
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        files = {"dwi": path, "bval": path.with_name(f"{stem}.bval"), "bvec": path.with_name(f"{stem}.bvec")}
        write_nifti(path, np.moveaxis(scan.array, -1, 0), scan.ijk_to_ras, scan.details)
        write_fsl(files["bval"], files["bvec"], scan.gradients, scan.ijk_to_ras)
        return files
    if name.endswith(NRRD):
        _write_nrrd(path, scan)
        return {"dwi": path}
    raise InputError(f"Cannot write a diffusion scan as {path.name}.", "Use the ending .nii.gz or .nrrd.")


def _read_nifti(path: Path, bval: Path, bvec: Path, choices: Choices | None) -> DwiScan:
    nifti = read_nifti(path)
    array = nifti.volumes(path, "4D")
    try:
        b, vectors = read_fsl(bval, bvec, len(array))
    except InputError as error:
        if nifti.array.ndim > 3:
            raise
        shape = " x ".join(map(str, nifti.array.shape[::-1]))
        raise InputError(
            f"{path} is 3D (shape {shape}), expected 4D.", "Give the whole series, not one volume of it."
        ) from error
    table = from_fsl(b, vectors, nifti.ijk_to_ras, f"{bval.name} and {bvec.name}", choices)
    return DwiScan(
        np.ascontiguousarray(np.moveaxis(array, 0, -1)),
        nifti.ijk_to_ras,
        table,
        path.name,
        doubts=part_doubts(stated_part(path, read_sidecar(path)), path.name),
        details=nifti.details,
        scaling=nifti.scaling,
    )


def _read_mif(path: Path, choices: Choices | None) -> DwiScan:
    mif = read_mif(path)
    if not len(mif.gradients):
        raise InputError(f"{path} has no gradients (no dw_scheme).", "Add them with mrconvert -fslgrad or -grad.")
    table = gradient_table(mif.gradients[:, 3], mif.gradients[:, :3], path.name, choices)
    return DwiScan(np.ascontiguousarray(np.moveaxis(mif.array, 0, -1)), mif.ijk_to_ras, table, path.name)


def _read_nrrd(path: Path, choices: Choices | None) -> DwiScan:
    nrrd = read_nrrd(path)
    hint = "Give a scan that Slicer or DWIConvert saved as DWI NRRD, or NIfTI with .bval and .bvec."
    if nrrd.array.ndim != 4:
        raise InputError(f"{path} is {nrrd.array.ndim}D, expected 4D.", "Give the whole series, not one volume of it.")
    if nrrd.keys.get("modality") != "DWMRI" or "DWMRI_b-value" not in nrrd.keys:
        raise InputError(f"{path} has no gradient table (its modality is not DWMRI).", hint)
    try:
        nominal = float(nrrd.keys["DWMRI_b-value"])
        vectors, skipped = _nrrd_vectors(nrrd.keys, len(nrrd.array))
    except ValueError as error:
        raise InputError(f"{path} has a damaged gradient table ({error}).", hint) from error
    vectors[skipped] = 0.0
    lengths = np.linalg.norm(vectors, axis=1)
    b = nominal * (lengths / max(lengths.max(), 1e-12)) ** 2
    rounded = np.round(b)
    b = np.where((np.abs(b - rounded) < 0.01) & (rounded > 0), rounded, b)  # lengths are written with few digits
    units = np.divide(vectors, lengths[:, None], out=np.zeros_like(vectors), where=lengths[:, None] > 0)
    assert nrrd.measurement_frame is not None
    choices = choices or Choices()
    choices = replace(choices, exclude=tuple(sorted({*choices.exclude, *skipped})))
    table = gradient_table(b, units @ nrrd.measurement_frame.T, path.name, choices)
    doubts = _stated_doubts(nrrd.keys)
    if skipped:
        text = f"volume {', '.join(map(str, skipped))} is marked to be skipped (DWMRI_skip), and is left out."
        doubts += (Doubt("skipped-volumes", path.name, text, "Nothing needs to be done.", assumed=True),)
    own = {"modality", _DOUBTS}
    keys = {key: value for key, value in nrrd.keys.items() if key not in own and not key.startswith("DWMRI_")}
    array = np.ascontiguousarray(np.moveaxis(nrrd.array, 0, -1))
    return DwiScan(array, nrrd.ijk_to_ras, table, path.name, keys, doubts=doubts)


def _stated_doubts(keys: dict[str, str]) -> tuple[Doubt, ...]:
    """The doubts that the file from which the panel made this one had raised."""
    try:
        return Doubt.from_json(json.loads(keys.get(_DOUBTS, "[]")))
    except (ValueError, TypeError, AttributeError):
        return ()


def _nrrd_vectors(keys: dict[str, str], volumes: int) -> tuple[npt.NDArray[np.float64], list[int]]:
    """(V, 3) vectors as they stand in the file, and the numbers of the volumes to skip.

    An entry with NEX counts for so many volumes, the next one has the number of the next volume.
    """
    vectors: list[list[float]] = []
    skipped: list[int] = []
    while len(vectors) < volumes:
        number = f"{len(vectors):04d}"
        if f"DWMRI_gradient_{number}" not in keys:
            raise ValueError(f"DWMRI_gradient_{number} is missing for {volumes} volumes")
        vector = [float(value) for value in keys[f"DWMRI_gradient_{number}"].split()]
        if len(vector) != 3:
            raise ValueError(f"DWMRI_gradient_{number} is {keys[f'DWMRI_gradient_{number}']!r}")
        count = int(keys.get(f"DWMRI_NEX_{number}", "1"))
        if count < 1:
            raise ValueError(f"DWMRI_NEX_{number} is {count}")
        if keys.get(f"DWMRI_skip_{number}", "false").strip().lower() in ("true", "1", "yes"):
            skipped += range(len(vectors), len(vectors) + count)
        vectors += [vector] * count
    if len(vectors) > volumes or f"DWMRI_gradient_{volumes:04d}" in keys:
        raise ValueError(f"more gradients than the {volumes} volumes")
    return np.array(vectors), skipped


def write_dwi_with_doubts(path: Path, scan: DwiScan) -> None:
    """Write a scan as DWI NRRD with the doubts about it, for the job that reads it."""
    doubts = json.dumps([doubt.as_json() for doubt in scan.doubts])
    _write_nrrd(path, replace(scan, keys=scan.keys | {_DOUBTS: doubts}) if scan.doubts else scan)


def _write_nrrd(path: Path, scan: DwiScan) -> None:
    table = scan.gradients
    nominal = float(table.bvals.max()) or 1.0
    vectors = table.directions * np.sqrt(table.bvals / nominal)[:, None]
    keys = scan.keys | {"modality": "DWMRI", "DWMRI_b-value": repr(nominal)}
    keys |= {
        f"DWMRI_gradient_{number:04d}": " ".join(repr(float(value) + 0.0) for value in vector)
        for number, vector in enumerate(vectors)
    }
    frame = np.eye(3)  # the vectors are in RAS
    write_nrrd(path, Nrrd(np.moveaxis(scan.array, -1, 0), scan.ijk_to_ras, keys, measurement_frame=frame))
