"""Reading and writing volumes: the file formats of `FORMATS`, and DICOM series.

A new format is a reader and a writer in `deeprecon.data.formats` and one entry in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deeprecon.data.dicom.file import open_dicom
from deeprecon.data.dicom.series import read_dicom
from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.formats.metaimage import read_metaimage, write_metaimage
from deeprecon.data.formats.nifti import read_nifti, refuse_pair, write_nifti
from deeprecon.data.formats.nrrd import Nrrd, read_nrrd, write_nrrd
from deeprecon.data.volume import Volume, check_geometry

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr")


def _read_nrrd(path: Path) -> Volume:
    nrrd = read_nrrd(path)
    array = nrrd.array[0] if nrrd.array.ndim == 4 and nrrd.array.shape[0] == 1 else nrrd.array
    if array.ndim != 3:
        raise InputError(f"{path} holds {array.shape[0]} volumes, expected one 3D image.", "Give a single volume.")
    return Volume(array, nrrd.ijk_to_ras, path.name, nrrd.thickness, None if nrrd.thickness is None else nrrd.across)


def _read_nifti(path: Path) -> Volume:
    nifti = read_nifti(path)
    volumes = nifti.volumes(path, "3D")
    if len(volumes) != 1:
        shape = " x ".join(map(str, nifti.array.shape[::-1]))
        raise InputError(f"{path} is {nifti.array.ndim}D (shape {shape}), expected 3D.", "Give a single volume of it.")
    return Volume(volumes[0], nifti.ijk_to_ras, path.name)


def _write_nifti(path: Path, volume: Volume) -> None:
    write_nifti(path, volume.array, volume.ijk_to_ras)


def _write_nrrd(path: Path, volume: Volume) -> None:
    write_nrrd(path, Nrrd(volume.array, volume.ijk_to_ras, thickness=volume.slice_thickness, across=volume.across or 0))


@dataclass(frozen=True)
class VolumeFormat:
    """A file format of volumes.

    Attributes:
        name: for messages.
        endings: of the file names that are read.
        read: path -> volume, its geometry unchecked.
        writes: endings that are written, each in a single file, the usual one first.
        write: (path, volume) of numbers, not booleans.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[Path], Volume]
    writes: tuple[str, ...]
    write: Callable[[Path, Volume], None]


FORMATS = (
    VolumeFormat("NIfTI", NIFTI, _read_nifti, (".nii.gz", ".nii"), _write_nifti),
    VolumeFormat("NRRD", NRRD, _read_nrrd, (".nrrd", ".nhdr"), _write_nrrd),
    VolumeFormat("MetaImage", (".mha", ".mhd"), read_metaimage, (".mha",), write_metaimage),
)
VOLUME_ENDINGS = tuple(ending for kind in FORMATS for ending in kind.endings)


@names_damage
def read_volume(path: Path | str) -> Volume:
    """Read one 3D image in the orientation that the file has; `canonical` puts it in order.

    Integers stay integers and floats stay floats, scaled values become float32. NaN voxels are kept
    (`check_finite` finds them).

    Args:
        path: a file of the formats above, a DICOM folder, or one file of a DICOM series.

    Raises:
        InputError: missing, unknown, cut-off or random file; not 3D; geometry that is missing, not finite, singular,
            sheared or contradicts itself.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {path}.", "Check the path.")
    name = path.name.lower()
    try:
        if path.is_dir():
            volume = read_dicom(path)
        elif kind := next((kind for kind in FORMATS if name.endswith(kind.endings)), None):
            volume = kind.read(path)
        elif (file := open_dicom(path)) is not None:
            volume = read_dicom(path, file)
        else:
            refuse_pair(path)
            known = ", ".join(f"{kind.name} ({', '.join(kind.endings)})" for kind in FORMATS)
            raise InputError(f"{path} is of an unknown kind.", f"Give {known} or a DICOM series (its folder).")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.", "Copy or export it again.") from error
    check_geometry(volume)
    return volume


def write_volume(path: Path | str, volume: Volume) -> None:
    """Write a volume in the format of the path's ending, atomically. Booleans become 8-bit integers.

    Raises:
        InputError: an ending that no format of `FORMATS` writes, or a broken geometry.
    """
    path = Path(path)
    check_geometry(volume)
    name = path.name.lower()
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    kind = next((kind for kind in FORMATS if name.endswith(kind.writes)), None)
    if kind is None:
        *others, last = (kind.writes[0] for kind in FORMATS)
        raise InputError(f"Cannot write a volume as {path.name}.", f"Use the ending {', '.join(others)} or {last}.")
    kind.write(path, replace(volume, array=array))
