"""X-rays in the scene: loaded, previewed, and copied to a job as their original file if it still exists.

A DICOM file holds more than the volume that Slicer makes of it: photometric interpretation, window, view. So the file
is read again, by the same function as in the computation.
"""

from __future__ import annotations

import json
import shutil
import zlib
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util

from deeprecon.ctpa.observe.film import oriented
from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.parameters import SynthesizeParameters
from deeprecon.data.dicom.file import is_dicom
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.pictures import PICTURES
from deeprecon.data.radiograph import Radiograph, radiograph_from_volume, read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scene.nodes.volumes import node_from_volume, volume_from_node
from deeprecon.steps import Apart, Steps, in_steps

_ORIGIN = "DeepRecon.XrayOrigin"
"""Attribute of an X-ray that was loaded here: its file, the header entries in use, and a checksum of its voxels."""
_VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Volume files that consist of a single file."""
MAX_PREVIEW_SIDE = 120
"""Maximum side of the preview in pixels."""


@in_steps
def open_xray(path: Path) -> Steps[Any]:
    """Load an X-ray file into the scene as a coronal slice; returns its vtkMRMLScalarVolumeNode.

    Raises:
        InputError: as `read_radiograph`.
    """
    name = path.name.removesuffix(".gz")
    radiograph = yield Apart("Reading the X-ray…", partial(_radiograph, path))
    node = node_from_radiograph(radiograph, slicer.mrmlScene.GenerateUniqueName(Path(name).stem), path)
    yield "Showing the X-ray…"
    return node


def node_from_radiograph(radiograph: Radiograph, name: str, path: Path | None = None) -> Any:
    """A volume node of a radiograph; pixels of unknown size become 1 mm."""
    node = node_from_volume(_as_volume(radiograph), name)
    origin = {
        "file": None if path is None else str(path.resolve()),
        "spacing": radiograph.spacing,
        "view": radiograph.view,
        "notes": list(radiograph.notes),
        "source_distance": radiograph.source_distance,
        "doubts": [doubt.as_json() for doubt in radiograph.doubts],
        "age": radiograph.age,
        "header": radiograph.header,
        "checksum": _checksum(node),
    }
    node.SetAttribute(_ORIGIN, json.dumps(origin))
    return node


def radiograph_of(node: Any) -> Radiograph:
    """The X-ray of a node as the computation will read it.

    Raises:
        InputError: no X-ray, such as a CT or a lateral view, or an image that cannot be used.
    """
    dimensions = (0, 0, 0) if node.GetImageData() is None else node.GetImageData().GetDimensions()
    if 0 not in dimensions and 1 not in dimensions:
        size = " x ".join(map(str, dimensions))
        raise InputError(
            f"{node.GetName()} is a volume of {size} voxels, not an X-ray.", "Choose a single frontal image."
        )
    source = source_file(node)
    if source is not None:
        return _radiograph(source)
    origin = _origin(node)
    found = radiograph_from_volume(volume_from_node(node))
    if origin is None:
        return found
    spacing = None if origin["spacing"] is None else (float(origin["spacing"][0]), float(origin["spacing"][1]))
    origin_fields = (str(origin["view"]), node.GetName(), tuple(origin["notes"]), origin["source_distance"])
    doubts = tuple(Doubt(**entry) for entry in origin["doubts"])
    return Radiograph(
        found.image, spacing, *origin_fields, doubts=doubts, age=origin.get("age"), header=origin.get("header", True)
    )


def _radiograph(path: Path) -> Radiograph:
    """The X-ray in a file; it is not read again as long as its size, times and inode are the same."""
    if not path.is_file():
        return read_radiograph(path)  # says what is wrong
    state = path.stat()
    return _read(path, (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino))


@lru_cache(maxsize=1)
def _read(path: Path, state: tuple[int, ...]) -> Radiograph:
    return read_radiograph(path)


def source_file(node: Any) -> Path | None:
    """The file of an X-ray node; None if it does not exist any more, or the node was changed since."""
    origin = _origin(node)
    if origin is not None:
        found = origin["file"]
    elif (found := _dicom_file(node)) is None:
        storage = node.GetStorageNode()
        found = storage.GetFileName() if storage is not None and not node.GetModifiedSinceRead() else None
    path = Path(found) if found else None
    return path if path is not None and path.is_file() and (_suffix(path) or is_dicom(path)) else None


def write_xray(node: Any, folder: Path, stem: str = "xray") -> tuple[str, Radiograph | None]:
    """Copy or write an X-ray into a job's folder of inputs under the neutral name `stem`.

    Returns:
        Name of the file; and, if it is not the original one, the X-ray, whose view and source distance the file does
        not state.

    Raises:
        InputError: as `radiograph_of`.
    """
    source = source_file(node)
    if source is not None:
        name = f"{stem}{_suffix(source) or '.dcm'}"
        shutil.copyfile(source, folder / name)
        return name, None
    radiograph = radiograph_of(node)
    if radiograph.spacing is None:  # a picture file has no pixel size either
        _write_picture(folder / f"{stem}.png", radiograph.image)
        return f"{stem}.png", radiograph
    write_volume(folder / f"{stem}.nrrd", _as_volume(radiograph) if radiograph.header else _as_picture(radiograph))
    return f"{stem}.nrrd", radiograph


def description(radiograph: Radiograph, parameters: SynthesizeParameters) -> str:
    """Description of an X-ray: number and size of its pixels, the view, and the doubts that the job will have."""
    rows, columns = radiograph.image.shape
    size = "whose size is not stated"
    if radiograph.spacing is not None:
        width, height = columns * radiograph.spacing[0], rows * radiograph.spacing[1]
        pixel = " x ".join(dict.fromkeys(f"{each:.3g}" for each in radiograph.spacing))
        size = f"of {pixel} mm: {width:.0f} x {height:.0f} mm"
    view = f"{radiograph.view} view" if radiograph.view else "view not stated"
    sentences = [f"{columns} x {rows} pixels {size}; {view}."]
    sentences += [doubt.text for doubt in film_doubts(radiograph, parameters)]
    return " ".join(sentences)


def preview(radiograph: Radiograph, parameters: SynthesizeParameters) -> npt.NDArray[np.uint8]:
    """The X-ray in the orientation of the computation, reduced, as gray values (rows, columns)."""
    image = oriented(radiograph.image, parameters.turn, parameters.flip, parameters.invert)
    step = max(1, -(-max(image.shape) // MAX_PREVIEW_SIDE))
    rows, columns = (count // step * step for count in image.shape)
    blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step)
    low, high = np.percentile(blocks[:, 0, :, 0], (0.5, 99.5))  # a pixel of each block: all take long
    small: npt.NDArray[np.uint8] = np.rint(
        255 * np.clip((blocks.mean(axis=(1, 3)) - low) / max(high - low, 1e-9), 0, 1)
    ).astype(np.uint8)
    return small


def _as_volume(radiograph: Radiograph) -> Volume:
    """A coronal slice centered at the origin; its top row is superior."""
    rows, columns = radiograph.image.shape
    width, height = radiograph.spacing or (1.0, 1.0)
    affine = np.diag([-width, -1.0, height, 1.0])
    affine[:3, 3] = 0.5 * (columns - 1) * width, 0.0, -0.5 * (rows - 1) * height
    return Volume(np.ascontiguousarray(radiograph.image[::-1, None, :]), affine, radiograph.name)


def _as_picture(radiograph: Radiograph) -> Volume:
    """An axial slice, as programs load a picture: the job then states the same assumptions as the panel."""
    width, height = radiograph.spacing or (1.0, 1.0)
    return Volume(np.ascontiguousarray(radiograph.image[None]), np.diag([-width, -height, 1.0, 1.0]), radiograph.name)


def _origin(node: Any) -> dict[str, Any] | None:
    """The attribute `_ORIGIN` of an X-ray; None if its voxels were changed since."""
    text = node.GetAttribute(_ORIGIN)
    if not text:
        return None
    origin: dict[str, Any] = json.loads(text)
    return origin if origin["checksum"] == _checksum(node) else None


def _checksum(node: Any) -> int:
    return zlib.crc32(slicer.util.arrayFromVolume(node).tobytes())


def _dicom_file(node: Any) -> str | None:
    """The file in Slicer's DICOM database that a node was loaded from; None if there is none."""
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if len(instances) != 1 or database is None:
        return None
    return database.fileForInstance(instances[0]) or None


def _suffix(path: Path) -> str:
    """The suffix of a picture, or of a volume file that consists of a single file; empty for other files."""
    return next((each for each in (*PICTURES, *_VOLUMES) if path.name.lower().endswith(each)), "")


def _write_picture(path: Path, image: npt.NDArray[np.float32]) -> None:
    import SimpleITK as sitk

    with atomic_path(path) as part:
        sitk.WriteImage(sitk.GetImageFromArray(np.rint(65535 * image).astype(np.uint16)), str(part))
