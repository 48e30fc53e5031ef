"""Inputs and settings of the scar methods, as the command line, the panel and the documentation see them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import Parameters, Range
from deeprecon.scar.thresholds import USAGE, parse_threshold
from deeprecon.scar.tissue_tags import REGION_USAGE, parse_tissue_tags
from deeprecon.scar.tissue_tags import USAGE as TAG_USAGE


class Method(Enum):
    """How scar is reconstructed between the slices."""

    FIELD = "field"
    MLP = "mlp"
    INTERPOLATION = "interpolation"


class Interpolation(Enum):
    """The classical interpolations between slices."""

    NEAREST = "nearest"
    LINEAR = "linear"
    SIGNED_DISTANCE = "signed-distance"
    LOG_ODDS = "log-odds"
    ANATOMICAL_LINEAR = "anatomical-linear"
    ANATOMICAL_SIGNED_DISTANCE = "anatomical-signed-distance"


INTERPOLATION_LABELS = {
    Interpolation.NEAREST: "Nearest slice",
    Interpolation.LINEAR: "Linear",
    Interpolation.SIGNED_DISTANCE: "Signed distance",
    Interpolation.LOG_ODDS: "Log-odds",
    Interpolation.ANATOMICAL_LINEAR: "Linear along the wall",
    Interpolation.ANATOMICAL_SIGNED_DISTANCE: "Signed distance along the wall",
}
"""Their names in panels and sentences."""


class Alignment(Enum):
    """How slices are brought to where they were in the heart when they were imaged.

    RIGID moves and turns every stack and each of its slices. SHIFT moves slices within their plane alone; "wall" is its
    name of earlier versions.
    """

    RIGID = "rigid"
    SHIFT = "shift"
    OFF = "off"
    WALL = "shift"  # noqa: PIE796 (scenes store the member's name)

    @classmethod
    def _missing_(cls, value: object) -> Alignment | None:
        return cls.SHIFT if value == "wall" else None


class Projection(Enum):
    """How the agreed values are made: those whose mean over the nodes in each pixel agrees with it.

    AUTO brings the mean of the nodes within 0.01 of a share, or to the same side of one half as a mask, which is a
    rounded share. EXACT brings any mean within 0.01 of its pixel, that of a mask too, as if its pixels were entirely
    scar or entirely not. OFF makes none.
    """

    AUTO = "auto"
    EXACT = "exact"
    OFF = "off"


class ReportValues(Enum):
    """Which probabilities tables, volumes, pictures, the segmentation and tags are made of.

    ESTIMATE is what the method finds, scar_probability. AGREED are the same values after they were made to agree with
    the pixels, scar_probability_agreed.
    """

    ESTIMATE = "estimate"
    AGREED = "agreed"


VALUE_ARRAYS = {ReportValues.ESTIMATE: "scar_probability", ReportValues.AGREED: "scar_probability_agreed"}
"""Their arrays at the nodes of a result."""


class MlpSize(Enum):
    """Hidden layers times their width of the coordinate network."""

    SMALL = "4x128"
    LARGE = "6x256"


DEFAULT_STEPS = {MlpSize.SMALL: 800, MlpSize.LARGE: 160}
"""Training steps of the mlp, about a minute on two cores."""
FIELD_STEPS = 2000
"""Training steps of the field at most. With more, masks and noisy images of the phantoms are fitted worse, since the
noise is fitted too."""


DEFAULT_RULE = "nsd:5"
"""Threshold of scar where only that of the core is given."""


class Observation(Enum):
    """What is observed in a pixel: the share of its wall that is scar, or that share rounded to 0 or 1."""

    SOFT = "soft"
    BINARY = "binary"


class Unit(Enum):
    """Length unit of a mesh file."""

    AUTO = "auto"
    MM = "mm"
    CM = "cm"
    M = "m"
    UM = "um"


class Frame(Enum):
    """Patient axes of a mesh file."""

    AUTO = "auto"
    RAS = "ras"
    LPS = "lps"


class Shell(Enum):
    """What a surface that is not the wall's whole boundary shows of the wall beneath it, along the normal.

    AUTO is MAX for open surfaces; closed ones are the boundary of the wall.
    """

    AUTO = "auto"
    MAX = "max"
    MEAN = "mean"


class Lesion(Enum):
    """Scars of the phantoms, all analytic."""

    INFARCT = "infarct"
    SUBENDOCARDIAL = "subendocardial"
    MIDWALL = "midwall"
    WEDGE = "wedge"
    ISTHMUS = "isthmus"
    APICAL = "apical"
    PATCHY = "patchy"
    TINY = "tiny"
    NONE = "none"


class MeshFormat(Enum):
    """Files that a result can be exported to; DICOM gets its voxels and figures, the others its mesh."""

    OPENCARP = "opencarp"
    VTU = "vtu"
    VTK = "vtk"
    VTP = "vtp"
    PLY = "ply"
    DICOM = "dicom"


class _CutoffParameters(Parameters):
    """Settings with the fields cutoff and core_cutoff."""

    def validate(self) -> list[str]:
        reasons = super().validate()
        if vars(self)["core_cutoff"] < vars(self)["cutoff"]:
            reasons.append("the probability for scar core lies below that for scar: the core is a part of the scar")
        return reasons


@dataclass(frozen=True)
class ReconstructInputs:
    """Files of one patient. `scar`, `lge`, `myocardium` and `remote` take one file per stack, in the same order."""

    mesh: Annotated[Path | None, "heart mesh (VTK, VTU, VTP, PLY, STL, .pts); made if left out"] = None
    scar: Annotated[tuple[Path, ...], "scar: label or fraction volume, segmentation or DICOM folder"] = ()
    lge: Annotated[tuple[Path, ...], "LGE volume, read by --threshold instead of --scar"] = ()
    myocardium: Annotated[tuple[Path, ...], "myocardium: label or fraction volume, or segmentation"] = ()
    remote: Annotated[
        tuple[Path, ...], "healthy region for --threshold nsd; if left out, a segment of that name, else estimated"
    ] = ()
    landmarks: Annotated[
        Path | None,
        "markups file (.mrk.json, .fcsv) with points named apex, base, anterior insertion and inferior insertion",
    ] = None


@dataclass(frozen=True)
class ReconstructParameters(_CutoffParameters):
    """Settings of `scar reconstruct`."""

    method: Annotated[Method, "how scar is reconstructed between the slices"] = Method.FIELD
    interpolation: Annotated[Interpolation, "which one, for --method interpolation"] = Interpolation.LINEAR
    network: Annotated[MlpSize, "layers and width of --method mlp"] = MlpSize.SMALL
    observation: Annotated[Observation, "keep partial pixels, or round them to 0 or 1"] = Observation.SOFT
    threshold: Annotated[str, f"scar from intensities by a rule: {USAGE}; left out, by a fitted mixture"] = ""
    core_threshold: Annotated[
        str,
        "scar core from intensities by a second, higher threshold, such as max:60; the rest is border zone; needs "
        "--threshold, else nsd:5",
    ] = ""
    alignment: Annotated[
        Alignment,
        "bring slices to where they were: rigid moves and turns stacks and slices, shift moves slices in their plane",
    ] = Alignment.SHIFT
    projection: Annotated[
        Projection, "how scar_probability_agreed is made to agree with each pixel; auto: with a mask up to its rounding"
    ] = Projection.AUTO
    report_values: Annotated[
        ReportValues, "what tables, pictures and the segmentation show: the estimate, or the values that agree"
    ] = ReportValues.ESTIMATE
    labels: Annotated[
        tuple[str, ...],
        "label values or segment names, such as scar=3,4 myocardium=2; well-known names are found without it",
    ] = ()
    no_scar: Annotated[bool, "the patient has no scar: every slice is free of it"] = False
    slice_thickness: Annotated[
        float | None,
        Range(0.1, 30, "mm"),
        "thickness of the imaged slab; DICOM states it, else the slice spacing is taken",
    ] = None
    observed_within: Annotated[
        float | None,
        Range(0.1, 1000, "mm"),
        "wall farther from every slice, along the wall, is unknown; left out, one slice spacing",
    ] = None
    node_spacing: Annotated[float, Range(0.3, 10, "mm"), "element size of the mesh made when none is given"] = 1.5
    mesh_unit: Annotated[Unit, "length unit of the mesh file; auto: the only one that fits"] = Unit.AUTO
    mesh_frame: Annotated[Frame, "patient axes of the mesh file; auto: the only ones that fit"] = Frame.AUTO
    tag_array: Annotated[
        str, "array of region tags at the mesh's cells; left out, one of a usual name, such as tag, elemTag or region"
    ] = ""
    mesh_region: Annotated[
        tuple[int, ...],
        "region tags of the wall in a mesh that holds more; left out, those that lie in what the slices show as wall",
    ] = ()
    shell: Annotated[
        Shell,
        "an inner or outer surface of the wall shows the maximum or the mean of the scar through the wall beneath it; "
        "auto: the maximum, for open surfaces",
    ] = Shell.AUTO
    steps: Annotated[int, Range(0, 10_000_000), "training steps; 0: a fixed number for the method, or the budget's"] = 0
    budget: Annotated[
        float,
        Range(0, 360_000, "s"),
        "training time at most, turned into steps by a timing; 0: no limit",
    ] = 0.0
    patience: Annotated[int, Range(1, 100_000, "epochs"), "the mlp ends early after so long without progress"] = 500
    samples: Annotated[int, Range(2, 100), "passes of the mlp with dropout behind each probability"] = 20
    cutoff: Annotated[float, Range(0.01, 0.99), "probability above which a node counts as scar"] = 0.5
    core_cutoff: Annotated[float, Range(0.01, 1.0), "probability above which scar is core, else uncertain edge"] = 0.75
    density: Annotated[float, Range(0.9, 1.2, "g/ml"), "density of myocardium, for the mass"] = 1.05

    def validate(self) -> list[str]:
        reasons = super().validate()
        for text in filter(None, (self.threshold, self.core_threshold)):
            try:
                parse_threshold(text)
            except InputError as error:
                reasons.append(str(error))
        if self.report_values is ReportValues.AGREED and self.projection is Projection.OFF:
            reasons.append(
                "the agreed values are not made with the projection off: report the estimate, or choose the projection "
                "auto or exact"
            )
        return reasons

    @property
    def rule(self) -> str:
        """The threshold of scar; empty where a mixture is fitted instead."""
        return self.threshold or (DEFAULT_RULE if self.core_threshold else "")


@dataclass(frozen=True)
class PhantomInputs:
    """A phantom needs no files; a heart surface may be given in place of the analytic ventricle."""

    surface: Annotated[
        Path | None,
        "closed heart surface to image instead of the analytic ventricle; the array class is 3 on its left endocardium",
    ] = None


@dataclass(frozen=True)
class PhantomParameters(Parameters):
    """Settings of `scar phantom`."""

    lesion: Annotated[Lesion, "scar of the analytic ventricle"] = Lesion.INFARCT
    spacing: Annotated[float, Range(1, 30, "mm"), "distance of the slices' centers"] = 10.0
    thickness: Annotated[float, Range(0.5, 30, "mm"), "thickness of the imaged slabs"] = 8.0
    pixel: Annotated[float, Range(0.3, 5, "mm"), "pixel size in the plane"] = 1.4
    node_spacing: Annotated[float, Range(0.5, 5, "mm"), "distance of the mesh nodes"] = 1.4
    shift: Annotated[float, Range(0, 10, "mm"), "standard deviation of each slice's shift in its plane"] = 0.0
    noise: Annotated[float, Range(0, 200), "noise of the images; healthy wall has 60 and scar 330"] = 18.0
    long_axis: Annotated[
        int, Range(0, 3), "long-axis slices in addition to the short-axis stack: the 2-, the 4- and the 3-chamber view"
    ] = 0
    dicom: Annotated[bool, "write the LGE images as a DICOM series too"] = False

    def validate(self) -> list[str]:
        reasons = super().validate()
        if self.thickness > self.spacing:
            reasons.append("the thickness exceeds the spacing: the slabs of one stack must not overlap")
        return reasons


@dataclass(frozen=True)
class EvaluateInputs:
    """A result and the truth, on the same mesh."""

    mesh: Annotated[Path, "result of scar reconstruct, with scar_probability"]
    truth: Annotated[Path, "the same mesh with scar_truth"]


@dataclass(frozen=True)
class EvaluateParameters(Parameters):
    """Settings of `scar evaluate`."""

    report_values: Annotated[ReportValues, "which values are compared"] = ReportValues.ESTIMATE
    cutoff: Annotated[float, Range(0.01, 0.99), "probability above which a node counts as scar"] = 0.5


@dataclass(frozen=True)
class ExportInputs:
    """A result, and drawn segments that are regions of it."""

    mesh: Annotated[Path, "result of scar reconstruct, with scar_probability"]
    segmentation: Annotated[Path | None, "segmentation with segments that the tags name"] = None
    source: Annotated[
        Path | None, "DICOM: the images that were reconstructed, whose patient and study the objects belong to"
    ] = None


@dataclass(frozen=True)
class ExportParameters(Parameters):
    """Settings of `scar export`; the node order is kept in every format."""

    format: Annotated[
        MeshFormat,
        "openCARP gets .pts, .elem with tags, .lon and .dat; DICOM a segmentation, a parametric map of the probability "
        "and a structured report",
    ] = MeshFormat.OPENCARP
    frame: Annotated[Frame, "patient axes of the file; auto is LPS, as Slicer writes"] = Frame.AUTO
    unit: Annotated[Unit, "length unit of the file; auto is um for openCARP, else mm"] = Unit.AUTO
    report_values: Annotated[ReportValues, "which values the tags are made of"] = ReportValues.ESTIMATE
    cutoff: Annotated[float, Range(0.01, 0.99), "probability above which an element is scar, and core"] = 0.5
    tags: Annotated[
        tuple[str, ...],
        f"tags of the elements, such as {TAG_USAGE}; left out, these, but healthy elements keep tags that they have. "
        f"Regions of healthy wall too: {REGION_USAGE}, and names of segments (spaces as _)",
    ] = ()
    experiment: Annotated[
        bool, "openCARP: also a parameter file (.par), stimulus sites (.vtx) and a script that runs them with carputils"
    ] = False
    tag_array: Annotated[
        str, "array of the tags that elements have; left out, that of the run, or one of a usual name"
    ] = ""

    def validate(self) -> list[str]:
        reasons = super().validate()
        try:
            parse_tissue_tags(self.tags, None)
        except InputError as error:
            reasons.append(str(error))
        if self.experiment and self.format is not MeshFormat.OPENCARP:
            reasons.append("parameters, sites and script of an experiment are openCARP's: choose this format")
        if self.format is MeshFormat.DICOM and self != ExportParameters(format=MeshFormat.DICOM):
            reasons.append("DICOM objects show what the run found, and have no other settings: leave them out")
        return reasons


@dataclass(frozen=True)
class GroupInputs:
    """Results of many patients."""

    folder: Annotated[Path, "folder with results of scar reconstruct in it or below, such as those of a list of cases"]


@dataclass(frozen=True)
class TrainInputs:
    """What the mlp is trained on."""

    data: Annotated[Path, "training_data.npz of scar prepare, or the same of cardioscar"]


@dataclass(frozen=True)
class TrainParameters(Parameters):
    """Settings of `scar train`, each as in `scar reconstruct`."""

    network: Annotated[MlpSize, "layers and width"] = MlpSize.SMALL
    steps: Annotated[int, Range(0, 10_000_000), "training steps; 0: a fixed number for the method, or the budget's"] = 0
    budget: Annotated[
        float,
        Range(0, 360_000, "s"),
        "training time at most, turned into steps by a timing; 0: no limit",
    ] = 0.0
    patience: Annotated[int, Range(1, 100_000, "epochs"), "end early after so long without progress"] = 500


@dataclass(frozen=True)
class ApplyInputs:
    """A trained mlp, and a mesh of the heart that it was trained on."""

    bundle: Annotated[Path, "model bundle of scar train or scar import-checkpoint"]
    mesh: Annotated[Path, "mesh of the same heart"]


@dataclass(frozen=True)
class ApplyParameters(_CutoffParameters):
    """Settings of `scar apply`, each as in `scar reconstruct`."""

    mesh_unit: Annotated[Unit, "length unit of the mesh file; auto: the only one that fits"] = Unit.AUTO
    mesh_frame: Annotated[Frame, "patient axes of the mesh file; auto: the only ones that fit"] = Frame.AUTO
    samples: Annotated[int, Range(2, 100), "passes with dropout behind each probability"] = 20
    cutoff: Annotated[float, Range(0.01, 0.99), "probability above which a node counts as scar"] = 0.5
    core_cutoff: Annotated[float, Range(0.01, 1.0), "probability above which scar is core, else uncertain edge"] = 0.75
    density: Annotated[float, Range(0.9, 1.2, "g/ml"), "density of myocardium, for the mass"] = 1.05


@dataclass(frozen=True)
class ImportInputs:
    """A trained network from elsewhere."""

    checkpoint: Annotated[Path, "cardioscar's .pth file"]
