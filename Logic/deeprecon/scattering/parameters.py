"""Inputs and settings of inverse wave scattering, from which command line and documentation are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import Parameters, Range

K = Range(0.5, 200)
CONTRAST = Range(-0.95, 5)
MIN_SPEED, MAX_SPEED = 100.0, 10_000.0
"""Sound speeds in m/s that are accepted."""


class Method(Enum):
    """Inversion methods."""

    BACKPROJECTION = "backprojection"
    TIKHONOV = "tikhonov"
    BCRNET = "bcrnet"
    FULLWAVE = "fullwave"
    MNN = "mnn"


class Sign(Enum):
    """Signs that a contrast may have."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    ANY = "any"


class Family(Enum):
    """Families of phantom objects; each object of the mixed one is of one of the others."""

    MIXED = "mixed"
    DISCS = "discs"
    ELLIPSES = "ellipses"
    ANNULUS = "annulus"
    SHEPP_LOGAN = "shepp-logan"


class Quantity(Enum):
    """Quantities of an exported volume."""

    CONTRAST = "contrast"
    SPEED = "speed"


class FileFormat(Enum):
    """Volume formats of the export."""

    NRRD = "nrrd"
    NIFTI = "nii.gz"
    META = "mha"


@dataclass(frozen=True)
class PhantomInputs:
    """No files."""


@dataclass(frozen=True)
class PhantomParameters(Parameters):
    """Settings of `scattering phantom`. The measured region is the unit disc; k is the wave number times its radius."""

    family: Annotated[Family, "family of objects"] = Family.MIXED
    count: Annotated[int, Range(1, 1_000_000), "objects"] = 1000
    k: Annotated[float, K, "wave number times the region's radius"] = 8.0
    angles: Annotated[int, Range(0, 2048), "directions of incidence and of observation; 0 for as many as k needs"] = 0
    rings: Annotated[int, Range(4, 1024), "rings of the true polar images"] = 32
    grid: Annotated[int, Range(16, 512), "pixels along a side of the true square images"] = 64
    contrast_min: Annotated[
        float, CONTRAST, "smallest contrast n^2 - 1 (relative permittivity - 1); negative where sound is faster"
    ] = -0.5
    contrast_max: Annotated[float, CONTRAST, "largest contrast"] = 0.8
    noise: Annotated[float, Range(0, 200, "%"), "additive noise, of each object's root mean square"] = 0.0
    relative_noise: Annotated[float, Range(0, 200, "%"), "multiplicative noise, of each value"] = 0.0

    def validate(self) -> list[str]:
        reasons = super().validate() + _even_angles(self.angles)
        if self.contrast_max < self.contrast_min:
            reasons.append("contrast_max lies below contrast_min")
        return reasons


@dataclass(frozen=True)
class PrepareInputs:
    """Exactly one of the two."""

    data: Annotated[
        Path | None, "far-field HDF5 file to check and bring onto uniform directions, or other measured fields to check"
    ] = None
    volume: Annotated[
        Path | None, "labels (volume or .seg.nrrd) or sound speeds in m/s, whose slices are simulated"
    ] = None


@dataclass(frozen=True)
class PrepareParameters(Parameters):
    """Settings of `scattering prepare`; all but angles are for --volume."""

    angles: Annotated[int, Range(0, 2048), "directions; 0 for as many as k needs"] = 0
    rings: Annotated[int, Range(4, 1024), "rings of the true polar images"] = 32
    k: Annotated[float, K, "wave number times the region's radius"] = 8.0
    speeds: Annotated[
        tuple[str, ...],
        "sound speed in m/s of each label or segment, such as 1=1450 Muscle=1580; others are background",
    ] = ()
    background: Annotated[float, Range(100, 10_000, "m/s"), "sound speed around the object"] = 1480.0
    radius: Annotated[
        float | None, Range(0.1, 10_000, "mm"), "of the measured region; 1.05 times that of the object if left out"
    ] = None
    slices: Annotated[
        tuple[int, ...], Range(1, 100_000), "numbers of the slices, from 1; all that contain the object if left out"
    ] = ()
    noise: Annotated[float, Range(0, 200, "%"), "additive noise, of each slice's root mean square"] = 0.0

    def validate(self) -> list[str]:
        reasons = super().validate() + _even_angles(self.angles)
        try:
            parse_speeds(self.speeds)
        except InputError as error:
            reasons.append(str(error).rstrip("."))
        return reasons


@dataclass(frozen=True)
class TrainInputs:
    """Training data and initial weights."""

    data: Annotated[
        Path,
        "far-field HDF5 file with true images, for BCR-Net; or fields of sources and receivers at any places, for "
        "MNN-H2, which learns from objects that are simulated for their arrangement",
    ]
    initial: Annotated[Path | None, "model bundle whose weights training starts from (far fields)"] = None


@dataclass(frozen=True)
class TrainParameters(Parameters):
    """Settings of `scattering train`; names of the original program in brackets."""

    rank: Annotated[int, Range(1, 512), "channels on each scale (alpha)"] = 40
    kernels: Annotated[int, Range(1, 20), "nonlinear layers on each scale (n-cnn)"] = 4
    refinements: Annotated[int, Range(1, 20), "two-dimensional layers of the refinement (n-cnn3)"] = 8
    levels: Annotated[int, Range(0, 10), "of the wavelet transform; scales of MNN-H2"] = 3
    rings: Annotated[int, Range(4, 1024), "rings of the polar image"] = 32
    angles: Annotated[int, Range(0, 2048), "directions; 0 for as many as the data's wave number needs"] = 0
    wavelets: Annotated[bool, "initialize the wavelet layers as Daubechies wavelets (db3), else at random"] = True
    epochs: Annotated[int, Range(2, 100_000), "passes through the training data (epoch)"] = 20
    second_stage: Annotated[float, Range(0, 0.9), "share of the epochs that train the refined image alone"] = 0.2
    batch: Annotated[int, Range(1, 4096), "objects in a step (batch-size)"] = 32
    learning_rate: Annotated[float, Range(1e-6, 1), "largest learning rate of the schedule (lr)"] = 2e-3
    weight_decay: Annotated[float, Range(0, 1), "of AdamW"] = 0.0
    clip_norm: Annotated[float, Range(0, 1e6), "largest norm of the gradient, 0 for no limit (grad-clip)"] = 1.0
    noise: Annotated[float, Range(0, 200, "%"), "additive noise in training, of each object's root mean square"] = 10.0
    relative_noise: Annotated[float, Range(0, 200, "%"), "multiplicative noise, of each value (noise)"] = 0.0
    train_share: Annotated[float, Range(0.1, 0.98), "share of the objects in the training set (percent)"] = 0.8
    most: Annotated[int, Range(0, 10_000_000), "objects read at most, 0 for all"] = 0
    patience: Annotated[
        int, Range(0, 100_000, "epochs"), "without improvement before a stage ends early, 0 for no early stopping"
    ] = 0
    gradient_checkpointing: Annotated[bool, "less memory, more time: recompute activations in the backward pass"] = (
        False
    )
    objects: Annotated[int, Range(10, 1_000_000), "simulated for the arrangement of measured fields"] = 400
    grid: Annotated[int, Range(16, 512), "pixels along a side of measured fields' images"] = 32
    side: Annotated[
        float | None,
        Range(1e-3, 1e6, "mm"),
        "of the square or cube of the object, where measured fields do not state it",
    ] = None
    contrast_min: Annotated[float, CONTRAST, "smallest contrast of the objects simulated for measured fields"] = -0.5
    contrast_max: Annotated[float, CONTRAST, "largest contrast of them"] = 0.8

    def validate(self) -> list[str]:
        reasons = super().validate()
        if self.contrast_max < self.contrast_min:
            reasons.append("contrast_max lies below contrast_min")
        if self.angles % 2 ** max(self.levels, 1):
            reasons.append(f"angles must be divisible by {2 ** max(self.levels, 1)} with these levels")
        return reasons


@dataclass(frozen=True)
class ReconstructInputs:
    """Measured or simulated fields, and a trained network for --method bcrnet or mnn."""

    data: Annotated[
        Path,
        "far-field HDF5 file; for --method fullwave and mnn also fields of sources and receivers at any places: HDF5, "
        ".mat, or .exp of the Institut Fresnel",
    ]
    bundle: Annotated[Path | None, "model bundle of scattering train"] = None


@dataclass(frozen=True)
class ReconstructParameters(Parameters):
    """Settings of `scattering reconstruct`."""

    method: Annotated[Method, "inversion method"] = Method.TIKHONOV
    regularization: Annotated[
        float, Range(1e-6, 1e6), "of Tikhonov's images: 0.3 for weak contrast, 3 for contrasts near 0.5 at k = 8"
    ] = 3.0
    rings: Annotated[int, Range(4, 1024), "rings of the polar image; a network has its own"] = 32
    angles: Annotated[int, Range(0, 2048), "directions; 0 for as many as k needs; a network has its own"] = 0
    grid: Annotated[int, Range(16, 512), "pixels along a side of the square images"] = 64
    radius: Annotated[
        float | None, Range(0.1, 10_000, "mm"), "of the measured region, where the data do not state it"
    ] = None
    most: Annotated[int, Range(0, 10_000_000), "objects at most, 0 for all"] = 0
    misfits: Annotated[
        int,
        Range(0, 10_000),
        "objects whose image is compared with the data by a full simulation; that of a network with Tikhonov's, too",
    ] = 4
    refine: Annotated[
        bool,
        "full-wave inversion of those compared objects (--misfits) whose data a network's image does not explain, from "
        "that image or from Tikhonov's; of measured fields from that image",
    ] = True
    contrast: Annotated[Sign, "sign of the contrast eps_r - 1 (n^2 - 1) in full-wave inversion"] = Sign.ANY
    smoothing: Annotated[
        float | None,
        Range(0, 1),
        "weight of total variation in full-wave inversion; if left out 0.016 for measured fields, 5e-4 for far fields",
    ] = None
    steps: Annotated[int, Range(1, 10_000), "of full-wave inversion for each frequency, at most"] = 25
    side: Annotated[
        float | None,
        Range(1e-3, 1e6, "mm"),
        "of the square or cube of the object, where measured fields do not state it",
    ] = None
    noise: Annotated[
        float | None,
        Range(0, 200, "%"),
        "of measured fields, relative to the scattered field; estimated from the fields if left out",
    ] = None
    replicas: Annotated[
        int, Range(0, 1000), "inversions with more noise whose spread is the uncertainty of measured fields' image"
    ] = 0

    def validate(self) -> list[str]:
        reasons = super().validate() + _even_angles(self.angles)
        if self.replicas == 1:
            reasons.append("replicas is 1, expected 0 or at least 2")
        return reasons


@dataclass(frozen=True)
class EvaluateInputs:
    """A reconstruction and the truth."""

    result: Annotated[Path, "reconstruction.h5 of scattering reconstruct"]
    truth: Annotated[Path, "far-field HDF5 file with the true images of the same objects, in the same order"]


@dataclass(frozen=True)
class ExportInputs:
    """A reconstruction."""

    result: Annotated[Path, "reconstruction.h5 of scattering reconstruct"]


@dataclass(frozen=True)
class ExportParameters(Parameters):
    """Settings of `scattering export`."""

    quantity: Annotated[Quantity, "contrast eps_r - 1 (n^2 - 1), or sound speed in m/s"] = Quantity.CONTRAST
    format: Annotated[FileFormat, "of the volume"] = FileFormat.NRRD
    grid: Annotated[int, Range(16, 2048), "pixels along a side of each slice"] = 128
    background: Annotated[
        float | None, Range(100, 10_000, "m/s"), "sound speed around the object, where not stated"
    ] = None


def parse_speeds(texts: Sequence[str]) -> dict[str, float]:
    """Sound speed in m/s by label or segment name, from texts such as "1=1450" or "Muscle=1580".

    Raises:
        InputError: another form, a name twice, or a speed out of range.
    """
    speeds: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not equals or not name.strip() or not MIN_SPEED <= speed <= MAX_SPEED:
            raise InputError(f"speeds has {text!r}.", f"Write NAME=SPEED, in {MIN_SPEED:g} to {MAX_SPEED:g} m/s.")
        if name.strip() in speeds:
            raise InputError(f"speeds names {name.strip()} twice.", "Give each label one speed.")
        speeds[name.strip()] = speed
    return speeds


def _even_angles(angles: int) -> list[str]:
    return ["angles must be even: opposite directions are needed in pairs"] if angles % 2 else []
