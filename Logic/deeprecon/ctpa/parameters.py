"""Inputs and settings of X-ray to CT, for the command line, the panel and the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from deeprecon.jobs.parameters import Parameters, Range


class Preset(Enum):
    """Voxels of a volume: 256 x 256 x 304, or 512 x 512 x 608 over the same field of view."""

    PREVIEW = "preview"
    FULL = "full"


class MethodName(Enum):
    """How a CT is made from an X-ray."""

    NETWORK = "network"
    ATLAS = "atlas"


class AutoencoderName(Enum):
    """Autoencoders; see `deeprecon.ctpa.autoencoder.network`."""

    SMALL_8X = "small-8x"
    SMALL_4X = "small-4x"
    LARGE_4X = "large-4x"
    VQGAN = "vqgan"


class DenoiserName(Enum):
    """Denoisers; see `deeprecon.ctpa.diffusion.denoiser`."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class ProcessName(Enum):
    """Diffusion processes; see `deeprecon.ctpa.diffusion.processes`."""

    RECTIFIED_FLOW = "rectified-flow"
    V_PREDICTION = "v-prediction"
    EPSILON = "epsilon"


class SamplerName(Enum):
    """Samplers; see `deeprecon.ctpa.diffusion.processes`."""

    DDIM = "ddim"
    DPM_SOLVER = "dpm-solver++"
    DDPM = "ddpm"


class EncoderName(Enum):
    """X-ray encoders; all but `spatial` are frozen networks, loaded from a local file."""

    SPATIAL = "spatial"
    BIOMEDCLIP = "biomedclip-vit-b16"
    MEDCLIP = "medclip-swin-t"
    RESNET50 = "resnet50"


class XrayView(Enum):
    """Side of the patient that the X-ray tube was at; auto for that of the file, else PA."""

    AUTO = "auto"
    PA = "PA"
    AP = "AP"


class BeamName(Enum):
    """Shape of the beam."""

    CONE = "cone"
    PARALLEL = "parallel"


class BlendingName(Enum):
    """Weights of the voxels where windows overlap; see `deeprecon.ctpa.patches`."""

    HANN = "hann"
    GAUSSIAN = "gaussian"


class Turn(Enum):
    """A turn of the X-ray, clockwise, before it is used."""

    NONE = "0"
    QUARTER = "90"
    HALF = "180"
    THREE_QUARTERS = "270"


@dataclass(frozen=True)
class PhantomInputs:
    """A phantom needs no files; with a CT, an X-ray of it is simulated."""

    ct: Annotated[Path | None, "CT of a chest to simulate an X-ray of; simulated chests if left out"] = None


@dataclass(frozen=True)
class PhantomParameters(Parameters):
    """Settings of `ctpa phantom`."""

    count: Annotated[int, Range(1, 10_000), "chests to make"] = 1
    first: Annotated[int, Range(0, 1_000_000), "number of the first chest, added to the seed"] = 0
    preset: Annotated[Preset, "voxels of a CT"] = Preset.PREVIEW


@dataclass(frozen=True)
class PrepareInputs:
    """Pairs of CT and X-ray."""

    manifest: Annotated[Path, "CSV or JSON with patient, ct and, where there is one, xray, view"]
    bundle: Annotated[Path | None, "bundle of train-autoencoder, whose latents are stored with the volumes"] = None


@dataclass(frozen=True)
class PrepareParameters(Parameters):
    """Settings of `ctpa prepare`."""

    preset: Annotated[Preset, "voxels of the stored volumes"] = Preset.PREVIEW
    beam: Annotated[BeamName, "shape of the X-rays' beam"] = BeamName.CONE
    validation: Annotated[float, Range(0, 0.9), "share of the patients for validation"] = 0.1
    test: Annotated[float, Range(0, 0.9), "share of the patients for the test"] = 0.1

    def validate(self) -> list[str]:
        reasons = super().validate()
        if self.validation + self.test >= 1:
            reasons.append("validation and test: together they leave no patient to train on")
        return reasons


@dataclass(frozen=True)
class TrainAutoencoderInputs:
    """A prepared store; without one, phantoms are simulated patch by patch.

    With its store.json instead of its folder, the whole store is not read first for a checksum.
    """

    store: Annotated[Path | None, "folder of ctpa prepare, or its store.json; phantoms if left out"] = None
    perceptual: Annotated[Path | None, "weights of a ResNet-50 as safetensors, for the perceptual loss"] = None


@dataclass(frozen=True)
class TrainAutoencoderParameters(Parameters):
    """Settings of `ctpa train-autoencoder`."""

    autoencoder: Annotated[AutoencoderName, "which autoencoder"] = AutoencoderName.SMALL_8X
    width: Annotated[int, Range(0, 1024), "channels of its first level; 0 for its own"] = 0
    patch: Annotated[int, Range(16, 512), "voxels of a patch along each axis"] = 64
    steps: Annotated[int, Range(2, 10_000_000), "optimizer steps"] = 1500
    batch: Annotated[int, Range(1, 1024), "patches in a batch"] = 2
    accumulate: Annotated[int, Range(1, 1000), "batches whose gradients make one step"] = 1
    learning_rate: Annotated[float, Range(1e-6, 0.1), "learning rate at the peak of the schedule"] = 2e-3
    perceptual_weight: Annotated[float, Range(0, 100), "of the perceptual loss; needs its weights"] = 0.0
    slice_weight: Annotated[float, Range(0, 100), "of the discriminator of slices (2D); 0 for none"] = 0.0
    volume_weight: Annotated[float, Range(0, 100), "of the discriminator of volumes (3D); 0 for none"] = 0.0
    adversarial_start: Annotated[float, Range(0, 1), "share of the training before the discriminators begin"] = 0.25
    checkpointing: Annotated[bool, "recompute activations in the backward pass, to save memory"] = False

    def validate(self) -> list[str]:
        return super().validate() + _indivisible(width=self.width, patch=self.patch)


@dataclass(frozen=True)
class TrainDiffusionInputs:
    """A prepared store (its folder or its store.json, see above) and the autoencoder whose latents it holds."""

    store: Annotated[Path, "folder of ctpa prepare, or its store.json"]
    bundle: Annotated[Path, "bundle of train-autoencoder"]
    encoder: Annotated[Path | None, "weights of a frozen X-ray encoder as safetensors"] = None


@dataclass(frozen=True)
class TrainDiffusionParameters(Parameters):
    """Settings of `ctpa train-diffusion`."""

    denoiser: Annotated[DenoiserName, "which denoiser"] = DenoiserName.SMALL
    width: Annotated[int, Range(0, 1024), "channels of its first level; 0 for its own"] = 0
    process: Annotated[ProcessName, "diffusion process"] = ProcessName.RECTIFIED_FLOW
    xray_encoder: Annotated[EncoderName, "X-ray encoder"] = EncoderName.SPATIAL
    patch: Annotated[int, Range(0, 512), "latent voxels of a patch along each axis; 0 for whole latents"] = 0
    steps: Annotated[int, Range(2, 10_000_000), "optimizer steps"] = 2000
    batch: Annotated[int, Range(1, 1024), "latents in a batch"] = 2
    accumulate: Annotated[int, Range(1, 1000), "batches whose gradients make one step"] = 1
    learning_rate: Annotated[float, Range(1e-6, 0.1), "learning rate at the peak of the schedule"] = 1e-3
    withheld: Annotated[
        float, Range(0, 0.5), "share of samples without their X-ray (condition dropout), for guidance"
    ] = 0.1
    checkpointing: Annotated[bool, "recompute activations in the backward pass, to save memory"] = False

    def validate(self) -> list[str]:
        return super().validate() + _indivisible(width=self.width, patch=self.patch)


@dataclass(frozen=True)
class SynthesizeInputs:
    """One X-ray, and atlases or a model bundle."""

    xray: Annotated[Path, "frontal chest X-ray: DICOM CR or DX, PNG, JPEG, a volume of one slice; or a folder of them"]
    atlas: Annotated[
        tuple[Path, ...],
        "chest CTs for --method atlas, of which the best fitting is taken: files or folders; built-in ones if left out",
    ] = ()
    lateral: Annotated[Path | None, "lateral film of the same patient for --method atlas, which gives the depth"] = None
    bundle: Annotated[
        Path | None, "model bundle of train-diffusion, for the network; the phantom-trained demonstrator if left out"
    ] = None


@dataclass(frozen=True)
class SynthesizeParameters(Parameters):
    """Settings of `ctpa synthesize`; samples, steps and what follows up to blending are those of a network."""

    method: Annotated[
        MethodName,
        "network: drawn by a model; atlas: a CT of another chest, deformed until its projection fits the X-ray",
    ] = MethodName.NETWORK
    preset: Annotated[Preset, "voxels of the volume"] = Preset.PREVIEW
    samples: Annotated[int, Range(1, 16), "volumes that a network samples; from two on with their spread"] = 2
    steps: Annotated[int, Range(1, 1000), "steps from noise to data"] = 20
    sampler: Annotated[SamplerName, "sampler"] = SamplerName.DDIM
    guidance: Annotated[float, Range(0, 10), "scale of classifier-free guidance by the X-ray; 1 for none"] = 1.0
    projection_guidance: Annotated[bool, "correct samples towards the X-ray by back-projection"] = False
    window: Annotated[
        int,
        Range(0, 512),
        "latent voxels of a window along each axis; 0: the whole latent where half of the device's memory holds it",
    ] = 0
    stride: Annotated[int, Range(0, 512), "latent voxels from one window to the next; 0 for half a window"] = 0
    blending: Annotated[BlendingName, "weights of the voxels of overlapping windows"] = BlendingName.HANN
    view: Annotated[XrayView, "side of the X-ray tube"] = XrayView.AUTO
    beam: Annotated[BeamName, "shape of the beam"] = BeamName.CONE
    source_distance: Annotated[
        float, Range(0, 5000, "mm"), "from tube to detector; 0 for the typical one: 1800 for PA, 1000 for AP"
    ] = 0.0
    pixel_spacing: Annotated[float, Range(0, 5, "mm"), "of the X-ray at the detector; 0 for that of the file"] = 0.0
    patient_age: Annotated[
        float, Range(0, 120, "years"), "of a child, whose chest is small; 0 for that of the file, else an adult"
    ] = 0.0
    turn: Annotated[Turn, "turn the X-ray clockwise first"] = Turn.NONE
    flip: Annotated[bool, "swap left and right of the X-ray first"] = False
    invert: Annotated[bool, "swap bright and dark of the X-ray first"] = False

    def validate(self) -> list[str]:
        reasons = super().validate() + _indivisible(window=self.window, stride=self.stride)
        if self.stride > self.window:
            what = f"windows of {self.window} leave gaps" if self.window else "it needs a window of a given size"
            reasons.append(f"stride is {self.stride}, but {what}")
        if 0 < self.source_distance < 500:
            reasons.append(f"source_distance is {self.source_distance:g}, expected 500 to 5000 mm, or 0")
        return reasons


@dataclass(frozen=True)
class EvaluateInputs:
    """A synthetic volume and the true one."""

    ct: Annotated[Path, "synthetic volume"]
    truth: Annotated[Path, "true CT of the same patient"]
    xray: Annotated[Path | None, "the X-ray, for the projection check"] = None
    labels: Annotated[Path | None, "labels.nii.gz of ctpa phantom, for HU by organ"] = None


@dataclass(frozen=True)
class ExportInputs:
    """A result of `ctpa synthesize`."""

    result: Annotated[Path, "folder of ctpa synthesize, with ct.nii.gz and result.json"]


@dataclass(frozen=True)
class ExportParameters(Parameters):
    """Settings of `ctpa export`."""

    patient_id: Annotated[str, "PatientID of the DICOM series"] = "SYNTHETIC"

    def validate(self) -> list[str]:
        text = self.patient_id.strip()
        if not text:
            return ["patient_id: it is empty"]
        if len(text) > 64 or "\\" in text or not text.isprintable():
            return ["patient_id: DICOM allows 64 characters, and no backslash"]
        return []


def _indivisible(**counts: int) -> list[str]:
    """A sentence for each count that is not divisible by 8, which pooling and attention heads need."""
    return [f"{name}: {count} does not divide by 8" for name, count in counts.items() if count % 8]
