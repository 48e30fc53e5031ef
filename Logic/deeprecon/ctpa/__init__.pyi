# Made by Testing/write_stubs.py from the parameters of the verbs; not to be edited.
from collections.abc import Sequence
from os import PathLike
from typing import Literal

from deeprecon.calls.call import Input
from deeprecon.calls.result import Result
from deeprecon.ctpa.api import SyntheticCt as SyntheticCt

def evaluate(
    ct: Input,
    truth: Input,
    *,
    xray: Input | None = None,
    labels: Input | None = None,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Compare a synthetic CT with the true one of the same patient."""

def export(
    result: Input,
    *,
    patient_id: str = "SYNTHETIC",
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Write a synthetic CT as a DICOM series that is marked as synthetic."""

def phantom(
    *,
    ct: Input | None = None,
    count: int = 1,
    first: int = 0,
    preset: Literal["preview", "full"] = "preview",
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Simulate chests and their X-rays, or the X-ray of a CT of your own."""

def prepare(
    manifest: Input,
    *,
    bundle: Input | None = None,
    preset: Literal["preview", "full"] = "preview",
    beam: Literal["cone", "parallel"] = "cone",
    validation: float = 0.1,
    test: float = 0.1,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Bring pairs of CT and X-ray onto one grid, into a store for training."""

def synthesize(
    xray: Input,
    *,
    atlas: Input | Sequence[Input] = (),
    lateral: Input | None = None,
    bundle: Input | None = None,
    method: Literal["network", "atlas"] = "network",
    preset: Literal["preview", "full"] = "preview",
    samples: int = 2,
    steps: int = 20,
    sampler: Literal["ddim", "dpm-solver++", "ddpm"] = "ddim",
    guidance: float = 1.0,
    projection_guidance: bool = False,
    window: int = 0,
    stride: int = 0,
    blending: Literal["hann", "gaussian"] = "hann",
    view: Literal["auto", "PA", "AP"] = "auto",
    beam: Literal["cone", "parallel"] = "cone",
    source_distance: float = 0.0,
    pixel_spacing: float = 0.0,
    patient_age: float = 0.0,
    turn: Literal["0", "90", "180", "270"] = "0",
    flip: bool = False,
    invert: bool = False,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> SyntheticCt:
    """Make synthetic CT pulmonary angiograms of a frontal chest X-ray, and assess their quality."""

def train_autoencoder(
    *,
    store: Input | None = None,
    perceptual: Input | None = None,
    autoencoder: Literal["small-8x", "small-4x", "large-4x", "vqgan"] = "small-8x",
    width: int = 0,
    patch: int = 64,
    steps: int = 1500,
    batch: int = 2,
    accumulate: int = 1,
    learning_rate: float = 0.002,
    perceptual_weight: float = 0.0,
    slice_weight: float = 0.0,
    volume_weight: float = 0.0,
    adversarial_start: float = 0.25,
    checkpointing: bool = False,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Train an autoencoder of CT on a prepared store, or on phantoms, and keep it as a model bundle."""

def train_diffusion(
    store: Input,
    bundle: Input,
    *,
    encoder: Input | None = None,
    denoiser: Literal["small", "medium", "large"] = "small",
    width: int = 0,
    process: Literal["rectified-flow", "v-prediction", "epsilon"] = "rectified-flow",
    xray_encoder: Literal["spatial", "biomedclip-vit-b16", "medclip-swin-t", "resnet50"] = "spatial",
    patch: int = 0,
    steps: int = 2000,
    batch: int = 2,
    accumulate: int = 1,
    learning_rate: float = 0.001,
    withheld: float = 0.1,
    checkpointing: bool = False,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Train a denoiser on a prepared store with its X-rays, and keep it as a model bundle for `synthesize`."""
