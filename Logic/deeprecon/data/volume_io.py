"""Reading and writing volumes: NIfTI, NRRD, MetaImage, DICOM series."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.dicom.file import open_dicom
from deeprecon.data.dicom.series import read_dicom
from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.formats.nifti_header import checked_affine
from deeprecon.data.formats.nrrd import Nrrd, read_nrrd, write_nrrd
from deeprecon.data.volume import Volume, check_geometry

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
_FORMATS = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) or a DICOM series (its folder)"
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


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
        elif name.endswith(NIFTI):
            volume = _read_nifti(path)
        elif name.endswith(NRRD):
            volume = _read_nrrd(path)
        elif name.endswith(META):
            volume = _read_meta(path)
        elif (file := open_dicom(path)) is not None:
            volume = read_dicom(path, file)
        else:
            raise InputError(f"{path} is of an unknown kind.", f"Give {_FORMATS}.")
    except OSError as error:
        if error.strerror is None:
            raise _damaged(path, error) from error
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    check_geometry(volume)
    return volume


def write_volume(path: Path | str, volume: Volume) -> None:
    """Write a volume in the format of the path's ending, atomically. Booleans become 8-bit integers.

    Raises:
        InputError: an ending that is not NIfTI, NRRD or MetaImage (.mha), or a broken geometry.
    """
    path = Path(path)
    check_geometry(volume)
    name = path.name.lower()
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if name.endswith(NIFTI):
        _write_nifti(path, array, volume.ijk_to_ras)
    elif name.endswith(NRRD):
        write_nrrd(path, Nrrd(array, volume.ijk_to_ras, thickness=volume.slice_thickness))
    elif name.endswith(".mha"):
        _write_meta(path, array, volume.ijk_to_ras)
    else:
        raise InputError(f"Cannot write a volume as {path.name}.", "Use the ending .nii.gz, .nrrd or .mha.")


def _damaged(path: Path, error: BaseException) -> InputError:
    reason = (str(error).strip() or repr(error)).splitlines()[-1].rstrip(".")
    return InputError(f"{path} is cut off or damaged ({reason}).", "Copy or export it again.")


def _read_nrrd(path: Path) -> Volume:
    nrrd = read_nrrd(path)
    array = nrrd.array[0] if nrrd.array.ndim == 4 and nrrd.array.shape[0] == 1 else nrrd.array
    if array.ndim != 3:
        raise InputError(f"{path} holds {array.shape[0]} volumes, expected one 3D image.", "Give a single volume.")
    return Volume(array, nrrd.ijk_to_ras, path.name, nrrd.thickness)


def _read_nifti(path: Path) -> Volume:
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
    except ModuleNotFoundError as error:
        raise InputError(
            f"Reading {path.name} needs nibabel, which is not installed.",
            "Load it into Slicer and save it as .nrrd, or install the packages first.",
        ) from error
    try:
        image = nibabel.load(path, mmap=False)
        stored = np.asanyarray(image.dataobj)
    except (
        ImageFileError,
        HeaderDataError,
        EOFError,
        OSError,
        OverflowError,
        TypeError,
        ValueError,
        zlib.error,
    ) as error:
        raise _damaged(path, error) from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise InputError(f"{path} is not a NIfTI file.", f"Give {_FORMATS}.")
    while stored.ndim > 3 and stored.shape[-1] == 1:
        stored = stored[..., 0]
    if stored.ndim != 3:
        raise InputError(
            f"{path} is {stored.ndim}D (shape {' x '.join(map(str, stored.shape))}), expected 3D.",
            "Give a single volume of it.",
        )
    if stored.dtype.kind not in "iuf":
        raise InputError(f"{path} holds {stored.dtype} values, expected whole or floating numbers.")
    checked_affine(path)
    dtype = np.dtype(np.float32) if image.dataobj.slope not in (None, 1) or image.dataobj.inter else stored.dtype
    array = np.ascontiguousarray(stored.T.astype(dtype.newbyteorder("="), copy=False))
    return Volume(array, np.asarray(image.affine, float), path.name)


def _write_nifti(path: Path, array: Any, affine: Any) -> None:
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise InputError(
            f"Writing {path.name} needs nibabel, which is not installed.", "Write .nrrd instead."
        ) from error
    image = nibabel.Nifti1Image(array.T, affine, dtype=array.dtype)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as part:
        nibabel.save(image, part)


def _read_meta(path: Path) -> Volume:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        image = reader.Execute()
    except RuntimeError as error:
        raise _damaged(path, error) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        size = " x ".join(map(str, image.GetSize()))
        raise InputError(
            f"{path} is {image.GetDimension()}D ({size}, {image.GetNumberOfComponentsPerPixel()} values a "
            "voxel), expected one 3D image.",
            "Give a single volume of it.",
        )
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image), _LPS @ affine + 0.0, path.name)


def _write_meta(path: Path, array: Any, ijk_to_ras: Any) -> None:
    import SimpleITK as sitk

    affine = _LPS @ ijk_to_ras
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    with atomic_path(path) as part:
        try:
            sitk.WriteImage(image, str(part), useCompression=True)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].removeprefix("Reason: ")
            full = os.strerror(errno.ENOSPC) in reason
            raise OSError(errno.ENOSPC if full else errno.EIO, reason, str(path)) from error
