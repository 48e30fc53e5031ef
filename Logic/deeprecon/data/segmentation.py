"""Segmentations: named regions on one grid, as Slicer's .seg.nrrd holds them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import kind_of_file
from deeprecon.data.dicom.kinds import SEGMENTATION, STRUCTURES
from deeprecon.data.dicom.objects.contours import read_contours
from deeprecon.data.dicom.objects.regions import Regions, read_segment_frames
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError, damaged, names_damage
from deeprecon.data.formats.nrrd import Nrrd, read_nrrd, write_nrrd
from deeprecon.data.volume import Volume, check_affine, check_finite
from deeprecon.data.volume_io import read_volume

Color = tuple[float, float, float]

_NRRD = (".nrrd", ".nhdr")
_NAMED = SEGMENTATION, STRUCTURES
"""Kinds of DICOM files whose regions have names."""
_LEFT_OUT = "DeepRecon.LeftOut"
"""Key of names of segments that were not written."""

_COLORS: tuple[Color, ...] = (
    (0.50, 0.68, 0.50),
    (0.95, 0.84, 0.57),
    (0.69, 0.48, 0.40),
    (0.44, 0.72, 0.82),
    (0.85, 0.40, 0.31),
    (0.87, 0.51, 0.40),
    (0.57, 0.36, 0.43),
    (0.86, 0.96, 0.08),
    (0.31, 0.25, 0.00),
    (0.20, 0.55, 0.90),
)


@dataclass(frozen=True, eq=False)
class Segment:
    """One named region.

    Attributes:
        name: as the user sees it.
        mask: (k, j, i) bool.
        color: red, green, blue, each 0 to 1.
        terminology: Slicer's serialized terminology entry ("context~category^...~type^..."), empty where unknown.
        sources: names of the segments that it was made from, where its name is another one.
    """

    name: str
    mask: npt.NDArray[np.bool_]
    color: Color = (0.5, 0.5, 0.5)
    terminology: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Segments on one grid; they may overlap.

    Attributes:
        segments: in the file's order.
        ijk_to_ras: (4, 4) float64, RAS mm.
        name: file or node it came from, for messages.
        slice_thickness: of the imaged slab in mm where the file states it.
        across: the array axis that runs across the slices, where the file states it.
        doubts: about the files.
        left_out: names of segments of its source that it lacks.
    """

    segments: tuple[Segment, ...]
    ijk_to_ras: npt.NDArray[np.float64]
    name: str = "segmentation"
    slice_thickness: float | None = None
    across: int | None = None
    doubts: tuple[Doubt, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the segments, in order."""
        return tuple(segment.name for segment in self.segments)

    def volume(self, name: str) -> Volume:
        """The segment called `name` (capitals do not matter unless two names differ in nothing else), as bool volume.

        Raises:
            InputError: no segment, or several, of that name; lists the names there are.
        """
        found = [segment for segment in self.segments if segment.name == name] or [
            segment for segment in self.segments if segment.name.casefold() == name.casefold()
        ]
        if len(found) != 1:
            raise InputError(
                f"{self.name} has {'no segment' if not found else 'several segments'} named {name!r}.",
                f"It has: {', '.join(self.names) or 'none'}.",
            )
        name = f"{self.name} ({found[0].name})"
        return Volume(found[0].mask, self.ijk_to_ras, name, self.slice_thickness, self.across)


def is_label(volume: Volume) -> bool:
    """True when a volume holds label values: whole numbers from 0 to 255, of at most 64 kinds.

    Not labels: fractions in [0, 1] (some value lies between) and intensities (many values, large or negative ones).
    """
    array = volume.array
    if array.dtype == bool:
        return True
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        return False
    return bool(array.min() >= 0 and array.max() <= 255 and np.unique(array).size <= 64)


def is_segmentation_file(path: Path | str) -> bool:
    """True for files whose regions have names: Slicer's by the ending, as Slicer does, DICOM's by their content."""
    return str(path).lower().endswith((".seg.nrrd", ".seg.nhdr")) or _dicom_kind(Path(path)) in _NAMED


def is_structure_set(path: Path | str) -> bool:
    """True for RT structure sets, which have no voxels of their own."""
    return _dicom_kind(Path(path)) == STRUCTURES


@names_damage
def read_segmentation(path: Path | str, grid: Volume | None = None) -> Segmentation:
    """Read Slicer's .seg.nrrd, a DICOM segmentation or RT structure set, or a label volume in any format of
    `read_volume`, whose values become names ("1", "2").

    Args:
        path: of the file.
        grid: image on whose voxels contours are drawn, see `read_contours`; the other files have voxels of their own.

    Raises:
        InputError: as `read_volume`, `read_segment_frames` and `read_contours`; also for a volume without labels
            (fractions, intensities) and damaged keys.
    """
    path = Path(path)
    if (kind := _dicom_kind(path)) in _NAMED:
        return _from_dicom(path, _read_regions(path, kind, grid))
    if path.is_file() and path.name.lower().endswith(_NRRD):
        nrrd = read_nrrd(path)
        if any(re.fullmatch(r"Segment\d+_(ID|Name)", key) for key in nrrd.keys):
            return _from_nrrd(path, nrrd)
    volume = read_volume(path)
    check_finite(volume)
    if not is_label(volume):
        raise InputError(
            f"{path} is not a segmentation: its values are not a few whole numbers from 0 to 255.",
            "Give a label volume or a .seg.nrrd file.",
        )
    values = [int(value) for value in np.unique(volume.array) if value != 0]
    segments = tuple(
        Segment(str(value), volume.array == value, _COLORS[(value - 1) % len(_COLORS)]) for value in values
    )
    return Segmentation(segments, volume.ijk_to_ras, volume.name, volume.slice_thickness, volume.across, volume.doubts)


def _dicom_kind(path: Path) -> str:
    """As `kind_of_file`; a NRRD file is known by its name and not opened for it."""
    return "" if path.name.lower().endswith(_NRRD) else kind_of_file(path)


def _read_regions(path: Path, kind: str, grid: Volume | None) -> Regions:
    """What a DICOM segmentation or RT structure set outlines."""
    try:
        return read_segment_frames(path) if kind == SEGMENTATION else read_contours(path, grid)
    except OSError as error:  # pydicom's, for a sequence that ends early
        raise damaged(path, error) from error
    except InputError as error:
        if type(error) is not InputError:  # a doubt, with its own way out
            raise
        hint = f"{error.hint} Or load it into Slicer and save the segmentation as .seg.nrrd."
        raise InputError(f"{error.message.rstrip('.')}, so this {kind} cannot be read here.", hint.strip()) from error


def _from_dicom(path: Path, regions: Regions) -> Segmentation:
    check_affine(regions.ijk_to_ras, path.name)
    segments = tuple(
        Segment(name, mask, _COLORS[place % len(_COLORS)]) for place, (name, mask) in enumerate(regions.masks)
    )
    return Segmentation(
        segments, regions.ijk_to_ras, path.name, regions.thickness, 0, regions.doubts, left_out=regions.left_out
    )


def _from_nrrd(path: Path, nrrd: Nrrd) -> Segmentation:
    check_affine(nrrd.ijk_to_ras, path.name)
    layers = nrrd.array if nrrd.array.ndim == 4 else nrrd.array[None]
    segments: list[Segment] = []
    found = (re.fullmatch(r"Segment(\d+)_(ID|Name)", key) for key in nrrd.keys)
    for number in sorted({int(match[1]) for match in found if match}):  # there may be gaps
        prefix = f"Segment{number}_"
        keys = {key[len(prefix) :]: value for key, value in nrrd.keys.items() if key.startswith(prefix)}
        try:
            # Files of Slicer 4.10 and before have one layer a segment, and neither of these keys.
            layer, value = int(keys.get("Layer", len(segments))), int(keys.get("LabelValue", 1))
            red, green, blue = (float(part) for part in keys.get("Color", "0.5 0.5 0.5").split())
            sources = _listed_names(keys.get("Sources"))
            mask = layers[layer] == value
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path}: the keys of segment {number} are damaged ({error}).",
                "Save the segmentation again from Slicer.",
            ) from error
        tags = dict(tag.partition(":")[::2] for tag in keys.get("Tags", "").split("|"))
        name = keys.get("Name", keys.get("ID", ""))
        segments.append(Segment(name, mask, (red, green, blue), tags.get("TerminologyEntry", ""), sources))
    across = None if nrrd.thickness is None else nrrd.across
    left_out = _listed_names(nrrd.keys.get(_LEFT_OUT))
    return Segmentation(tuple(segments), nrrd.ijk_to_ras, path.name, nrrd.thickness, across, left_out=left_out)


def _listed_names(text: str | None) -> tuple[str, ...]:
    """The names in a key that `write_segmentation` wrote as JSON; none where it holds something else."""
    try:
        names = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def write_segmentation(path: Path | str, segmentation: Segmentation) -> None:
    """Write a .seg.nrrd that Slicer opens as a segmentation; segments that overlap go to separate layers.

    Raises:
        InputError: another ending, no segment, or masks of different shapes.
    """
    path = Path(path)
    segments = segmentation.segments
    if not path.name.lower().endswith(".seg.nrrd"):
        raise InputError(f"Cannot write a segmentation as {path.name}.", "Use the ending .seg.nrrd.")
    if len({segment.mask.shape for segment in segments}) != 1 or segments[0].mask.ndim != 3:
        raise InputError(f"{segmentation.name}: a segmentation needs segments on one 3D grid.")
    check_affine(segmentation.ijk_to_ras, segmentation.name)

    layers: list[npt.NDArray[np.uint16]] = []
    values: dict[int, int] = {}
    extent = " ".join(f"0 {count - 1}" for count in segments[0].mask.shape[::-1])
    keys = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for number, segment in enumerate(segments):
        layer = next((place for place, used in enumerate(layers) if not used[segment.mask].any()), len(layers))
        if layer == len(layers):
            layers.append(np.zeros(segment.mask.shape, np.uint16))
        values[layer] = value = values.get(layer, 0) + 1  # counted, since an empty segment leaves no trace in the layer
        layers[layer][segment.mask] = value
        tags = f"TerminologyEntry:{segment.terminology}|" if segment.terminology else ""
        keys |= {
            f"Segment{number}_ID": f"Segment_{number + 1}",
            f"Segment{number}_Name": segment.name,
            f"Segment{number}_NameAutoGenerated": "0",
            f"Segment{number}_Color": " ".join(f"{part:.6g}" for part in segment.color),
            f"Segment{number}_ColorAutoGenerated": "0",
            f"Segment{number}_Extent": extent,
            f"Segment{number}_LabelValue": str(value),
            f"Segment{number}_Layer": str(layer),
            f"Segment{number}_Tags": tags,
        }
        if segment.sources:
            keys[f"Segment{number}_Sources"] = json.dumps(segment.sources, ensure_ascii=False)
    if segmentation.left_out:
        keys[_LEFT_OUT] = json.dumps(segmentation.left_out, ensure_ascii=False)
    stacked = np.stack(layers)
    if stacked.max() < 256:
        stacked = stacked.astype(np.uint8)
    array = stacked[0] if len(layers) == 1 else stacked
    write_nrrd(
        path, Nrrd(array, segmentation.ijk_to_ras, keys, segmentation.slice_thickness, across=segmentation.across or 0)
    )
