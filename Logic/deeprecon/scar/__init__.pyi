# Made by Testing/write_stubs.py from the parameters of the verbs; not to be edited.
from collections.abc import Sequence
from os import PathLike
from typing import Literal

from deeprecon.calls.call import Input
from deeprecon.calls.result import Result
from deeprecon.scar.api import Reconstruction as Reconstruction
from deeprecon.scar.api import ScarMap as ScarMap

def apply(
    bundle: Input,
    mesh: Input,
    *,
    mesh_unit: Literal["auto", "mm", "cm", "m", "um"] = "auto",
    mesh_frame: Literal["auto", "ras", "lps"] = "auto",
    samples: int = 20,
    cutoff: float = 0.5,
    core_cutoff: float = 0.75,
    density: float = 1.05,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> ScarMap:
    """Scar probability at every node of a heart mesh, from an mlp that was trained on the same heart."""

def cross_validate(
    *,
    mesh: Input | None = None,
    scar: Input | Sequence[Input] = (),
    lge: Input | Sequence[Input] = (),
    myocardium: Input | Sequence[Input] = (),
    remote: Input | Sequence[Input] = (),
    landmarks: Input | None = None,
    method: Literal["field", "mlp", "interpolation"] = "field",
    interpolation: Literal[
        "nearest", "linear", "signed-distance", "log-odds", "anatomical-linear", "anatomical-signed-distance"
    ] = "linear",
    network: Literal["4x128", "6x256"] = "4x128",
    observation: Literal["soft", "binary"] = "soft",
    threshold: str = "nsd:5",
    core_threshold: str = "",
    alignment: Literal["rigid", "shift", "off"] = "rigid",
    projection: Literal["auto", "exact", "off"] = "auto",
    report_values: Literal["estimate", "agreed"] = "estimate",
    labels: str | Sequence[str] = (),
    no_scar: bool = False,
    slice_thickness: float | None = None,
    observed_within: float | None = None,
    node_spacing: float = 1.5,
    mesh_unit: Literal["auto", "mm", "cm", "m", "um"] = "auto",
    mesh_frame: Literal["auto", "ras", "lps"] = "auto",
    tag_array: str = "",
    mesh_region: int | Sequence[int] = (),
    shell: Literal["auto", "max", "mean"] = "auto",
    steps: int = 0,
    budget: float = 0.0,
    patience: int = 500,
    samples: int = 20,
    cutoff: float = 0.5,
    core_cutoff: float = 0.75,
    density: float = 1.05,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Hide each slice in turn and predict it from the others, by the chosen method and by every interpolation."""

def evaluate(
    mesh: Input,
    truth: Input,
    *,
    report_values: Literal["estimate", "agreed"] = "estimate",
    cutoff: float = 0.5,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Compare a result with the truth on the same mesh."""

def export(
    mesh: Input,
    *,
    format: Literal["opencarp", "vtu", "vtk", "vtp", "ply"] = "opencarp",
    frame: Literal["auto", "ras", "lps"] = "auto",
    unit: Literal["auto", "mm", "cm", "m", "um"] = "auto",
    report_values: Literal["estimate", "agreed"] = "estimate",
    cutoff: float = 0.5,
    tags: str | Sequence[str] = (),
    tag_array: str = "",
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Write a result for simulators and other programs."""

def import_checkpoint(
    checkpoint: Input,
    *,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Make a model bundle of a network that cardioscar trained."""

def phantom(
    *,
    surface: Input | None = None,
    lesion: Literal[
        "infarct", "subendocardial", "midwall", "wedge", "isthmus", "apical", "patchy", "tiny", "none"
    ] = "infarct",
    spacing: float = 10.0,
    thickness: float = 8.0,
    pixel: float = 1.4,
    node_spacing: float = 1.4,
    shift: float = 0.0,
    noise: float = 18.0,
    long_axis: int = 0,
    dicom: bool = False,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Make a case whose scar is known everywhere."""

def prepare(
    *,
    mesh: Input | None = None,
    scar: Input | Sequence[Input] = (),
    lge: Input | Sequence[Input] = (),
    myocardium: Input | Sequence[Input] = (),
    remote: Input | Sequence[Input] = (),
    landmarks: Input | None = None,
    method: Literal["field", "mlp", "interpolation"] = "field",
    interpolation: Literal[
        "nearest", "linear", "signed-distance", "log-odds", "anatomical-linear", "anatomical-signed-distance"
    ] = "linear",
    network: Literal["4x128", "6x256"] = "4x128",
    observation: Literal["soft", "binary"] = "soft",
    threshold: str = "nsd:5",
    core_threshold: str = "",
    alignment: Literal["rigid", "shift", "off"] = "rigid",
    projection: Literal["auto", "exact", "off"] = "auto",
    report_values: Literal["estimate", "agreed"] = "estimate",
    labels: str | Sequence[str] = (),
    no_scar: bool = False,
    slice_thickness: float | None = None,
    observed_within: float | None = None,
    node_spacing: float = 1.5,
    mesh_unit: Literal["auto", "mm", "cm", "m", "um"] = "auto",
    mesh_frame: Literal["auto", "ras", "lps"] = "auto",
    tag_array: str = "",
    mesh_region: int | Sequence[int] = (),
    shell: Literal["auto", "max", "mean"] = "auto",
    steps: int = 0,
    budget: float = 0.0,
    patience: int = 500,
    samples: int = 20,
    cutoff: float = 0.5,
    core_cutoff: float = 0.75,
    density: float = 1.05,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Read and check a case, and write its observations."""

def reconstruct(
    *,
    mesh: Input | None = None,
    scar: Input | Sequence[Input] = (),
    lge: Input | Sequence[Input] = (),
    myocardium: Input | Sequence[Input] = (),
    remote: Input | Sequence[Input] = (),
    landmarks: Input | None = None,
    method: Literal["field", "mlp", "interpolation"] = "field",
    interpolation: Literal[
        "nearest", "linear", "signed-distance", "log-odds", "anatomical-linear", "anatomical-signed-distance"
    ] = "linear",
    network: Literal["4x128", "6x256"] = "4x128",
    observation: Literal["soft", "binary"] = "soft",
    threshold: str = "nsd:5",
    core_threshold: str = "",
    alignment: Literal["rigid", "shift", "off"] = "rigid",
    projection: Literal["auto", "exact", "off"] = "auto",
    report_values: Literal["estimate", "agreed"] = "estimate",
    labels: str | Sequence[str] = (),
    no_scar: bool = False,
    slice_thickness: float | None = None,
    observed_within: float | None = None,
    node_spacing: float = 1.5,
    mesh_unit: Literal["auto", "mm", "cm", "m", "um"] = "auto",
    mesh_frame: Literal["auto", "ras", "lps"] = "auto",
    tag_array: str = "",
    mesh_region: int | Sequence[int] = (),
    shell: Literal["auto", "max", "mean"] = "auto",
    steps: int = 0,
    budget: float = 0.0,
    patience: int = 500,
    samples: int = 20,
    cutoff: float = 0.5,
    core_cutoff: float = 0.75,
    density: float = 1.05,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Reconstruction:
    """Scar probability at every node of a heart mesh, from the slices of one patient."""

def train(
    data: Input,
    *,
    network: Literal["4x128", "6x256"] = "4x128",
    steps: int = 0,
    budget: float = 0.0,
    patience: int = 500,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Train the mlp on the data of `prepare`, and keep it as a model bundle."""
