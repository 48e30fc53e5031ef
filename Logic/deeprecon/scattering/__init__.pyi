# Made by Testing/write_stubs.py from the parameters of the verbs; not to be edited.
from collections.abc import Sequence
from os import PathLike
from typing import Literal

from deeprecon.calls.call import Input
from deeprecon.calls.result import Result
from deeprecon.scattering.api import ContrastImages as ContrastImages
from deeprecon.scattering.physics.arrangement import Arrangement as Arrangement
from deeprecon.scattering.read.far_field_data import FarFieldData as FarFieldData
from deeprecon.scattering.read.scattered_fields import Band as Band
from deeprecon.scattering.read.scattered_fields import ScatteredFields as ScatteredFields

def evaluate(
    result: Input,
    truth: Input,
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
    """Compare a reconstruction with the truth."""

def export(
    result: Input,
    *,
    quantity: Literal["contrast", "speed"] = "contrast",
    format: Literal["nrrd", "nii.gz", "mha"] = "nrrd",
    grid: int = 128,
    background: float | None = None,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Write a reconstruction as a volume of sound speed in m/s or of contrast."""

def phantom(
    *,
    family: Literal["mixed", "discs", "ellipses", "annulus", "shepp-logan"] = "mixed",
    count: int = 1000,
    k: float = 8.0,
    angles: int = 0,
    rings: int = 32,
    grid: int = 64,
    contrast_min: float = -0.5,
    contrast_max: float = 0.8,
    noise: float = 0.0,
    relative_noise: float = 0.0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Simulate far fields of random objects."""

def prepare(
    *,
    data: Input | None = None,
    volume: Input | None = None,
    angles: int = 0,
    rings: int = 32,
    k: float = 8.0,
    speeds: str | Sequence[str] = (),
    background: float = 1480.0,
    radius: float | None = None,
    slices: int | Sequence[int] = (),
    noise: float = 0.0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Check a far-field file, or simulate the slices of a volume."""

def reconstruct(
    data: Input,
    *,
    bundle: Input | None = None,
    method: Literal["backprojection", "tikhonov", "bcrnet", "fullwave", "mnn"] = "tikhonov",
    regularization: float = 3.0,
    rings: int = 32,
    angles: int = 0,
    grid: int = 64,
    radius: float | None = None,
    most: int = 0,
    misfits: int = 4,
    refine: bool = True,
    contrast: Literal["positive", "negative", "any"] = "any",
    smoothing: float | None = None,
    steps: int = 25,
    side: float | None = None,
    noise: float | None = None,
    replicas: int = 0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> ContrastImages:
    """Images of contrast from far fields, or from measured fields of any arrangement of sources and receivers."""

def train(
    data: Input,
    *,
    initial: Input | None = None,
    rank: int = 40,
    kernels: int = 4,
    refinements: int = 8,
    levels: int = 3,
    rings: int = 32,
    angles: int = 0,
    wavelets: bool = True,
    epochs: int = 20,
    second_stage: float = 0.2,
    batch: int = 32,
    learning_rate: float = 0.002,
    weight_decay: float = 0.0,
    clip_norm: float = 1.0,
    noise: float = 10.0,
    relative_noise: float = 0.0,
    train_share: float = 0.8,
    most: int = 0,
    patience: int = 0,
    gradient_checkpointing: bool = False,
    objects: int = 400,
    grid: int = 32,
    side: float | None = None,
    contrast_min: float = -0.5,
    contrast_max: float = 0.8,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Train BCR-Net on far fields, or MNN-H2 for measured fields, and keep it as a model bundle for `reconstruct`."""
