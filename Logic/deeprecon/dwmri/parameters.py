"""Inputs and settings of the diffusion methods, for the command line, the panel and the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from deeprecon.jobs.parameters import Parameters, Range


class Method(Enum):
    """How noise is removed."""

    NETWORK = "network"
    PCA = "pca"
    MPPCA = "mppca"
    LOCAL_PCA = "local-pca"
    NLMEANS = "nlmeans"
    PATCH2SELF = "patch2self"
    PATCH2SELF_DIPY_1 = "patch2self-dipy-v1"
    PATCH2SELF_DIPY_3 = "patch2self-dipy-v3"


class Architecture(Enum):
    """Supervised networks; see `deeprecon.dwmri.networks.architectures`."""

    BASELINE = "baseline"
    MULTI_SCALE = "multi-scale"
    PROGRESSIVE = "progressive"
    FREQUENCY = "frequency"
    VOLUME_SPECIFIC = "volume-specific"
    ADAPTIVE_SKIP = "adaptive-skip"
    PROGRESSIVE_MULTI_SCALE = "progressive+multi-scale"
    FREQUENCY_ADAPTIVE_SKIP = "frequency+adaptive-skip"
    UNET = "unet"


class Background(Enum):
    """Values outside of the mask."""

    KEEP = "keep"
    ZERO = "zero"


class Stored(Enum):
    """Number type of the enhanced scan."""

    FLOAT = "float"
    INPUT = "as-input"


class DwiFormat(Enum):
    """File formats of a scan."""

    NIFTI = "nifti"
    NRRD = "nrrd"


@dataclass(frozen=True)
class EnhanceInputs:
    """One diffusion scan, or a BIDS dataset."""

    dwi: Annotated[Path | None, "scan: NIfTI, DWI NRRD, MRtrix .mif, or a DICOM folder"] = None
    bval: Annotated[Path | None, "b-values of a NIfTI scan; the file of the same name if left out"] = None
    bvec: Annotated[Path | None, "directions of a NIfTI scan; the file of the same name if left out"] = None
    mask: Annotated[Path | None, "brain mask on the grid of the scan; found if left out"] = None
    bundle: Annotated[Path | None, "model bundle of dwmri train, in place of --method"] = None
    bids: Annotated[Path | None, "BIDS dataset, all of whose diffusion scans are enhanced, in place of a scan"] = None


@dataclass(frozen=True)
class EnhanceParameters(Parameters):
    """Settings of `dwmri enhance`."""

    method: Annotated[Method, "network: trained on the scan itself; pca: fast; the others are dipy's"] = Method.NETWORK
    bias_correction: Annotated[bool, "correct the bias of magnitudes (Koay and Basser 2006)"] = True
    steps: Annotated[int, Range(20, 100_000), "training steps of the network"] = 800
    repair: Annotated[bool, "replace slices that are lost or corrupted by their prediction from the other volumes"] = (
        False
    )
    impute: Annotated[str, "volumes to replace likewise, counted from 0, as 3,17"] = ""
    exclude: Annotated[str, "volumes to leave out, counted from 0, as 3,17"] = ""
    b0_threshold: Annotated[float, Range(0, 1000, "s/mm2"), "b-value up to which a volume counts as b0"] = 50.0
    background: Annotated[Background, "values outside of the mask"] = Background.KEEP
    stored: Annotated[Stored, "number type of the result; as-input rounds integers"] = Stored.FLOAT

    def validate(self) -> list[str]:
        reasons = super().validate()
        for name in ("impute", "exclude"):
            try:
                parse_volumes(getattr(self, name), name)
            except ValueError as error:
                reasons.append(str(error))
        return reasons


@dataclass(frozen=True)
class TrainInputs:
    """Pairs of scans with their .bval and .bvec files; one of each per pair, in the same order."""

    noisy: Annotated[tuple[Path, ...], "noisy or coarse scans"] = ()
    clean: Annotated[tuple[Path, ...], "the same scans, clean, or with voxels of half the size"] = ()
    mask: Annotated[tuple[Path, ...], "brain masks on the grid of the noisy scans; found if left out"] = ()


@dataclass(frozen=True)
class TrainParameters(Parameters):
    """Settings of `dwmri train`."""

    network: Annotated[Architecture, "which; A+B has the stages or bands of A, each with the layers of B"] = (
        Architecture.MULTI_SCALE
    )
    width: Annotated[int, Range(4, 256), "channels of its layers"] = 24
    steps: Annotated[int, Range(2, 10_000_000), "optimizer steps"] = 2000
    batch: Annotated[int, Range(1, 1024), "crops in a batch"] = 4
    accumulate: Annotated[int, Range(1, 1000), "batches whose gradients make one step"] = 1
    learning_rate: Annotated[float, Range(1e-6, 0.1), "step size at the peak of the one-cycle schedule"] = 3e-3
    edge_weight: Annotated[float, Range(0, 100), "weight of the edges in the loss; 0 for none"] = 0.5
    in_stages: Annotated[bool, "progressive networks only: train the coarse part alone first"] = False
    compile: Annotated[bool, "compile the network on a GPU; pays off for long training"] = False

    def validate(self) -> list[str]:
        reasons = super().validate()
        if self.in_stages and self.network not in (Architecture.PROGRESSIVE, Architecture.PROGRESSIVE_MULTI_SCALE):
            reasons.append(f"in_stages: the network {self.network.value} has no stages, only progressive ones have")
        return reasons


@dataclass(frozen=True)
class PrepareInputs:
    """One diffusion scan."""

    dwi: Annotated[Path, "scan: NIfTI, DWI NRRD, MRtrix .mif, or a DICOM folder"]
    bval: Annotated[Path | None, "b-values of a NIfTI scan; the file of the same name if left out"] = None
    bvec: Annotated[Path | None, "directions of a NIfTI scan; the file of the same name if left out"] = None
    mask: Annotated[Path | None, "brain mask on the grid of the scan; found if left out"] = None


@dataclass(frozen=True)
class PrepareParameters(Parameters):
    """Settings of `dwmri prepare`."""

    exclude: Annotated[str, "volumes to leave out, counted from 0, as 3,17"] = ""
    b0_threshold: Annotated[float, Range(0, 1000, "s/mm2"), "b-value up to which a volume counts as b0"] = 50.0

    def validate(self) -> list[str]:
        reasons = super().validate()
        try:
            parse_volumes(self.exclude, "exclude")
        except ValueError as error:
            reasons.append(str(error))
        return reasons


@dataclass(frozen=True)
class PhantomInputs:
    """A phantom needs no files."""


@dataclass(frozen=True)
class PhantomParameters(Parameters):
    """Settings of `dwmri phantom`."""

    b0: Annotated[int, Range(1, 100), "volumes without diffusion weighting"] = 3
    shells: Annotated[str, "b-value:directions of each shell, as 1000:32,2500:32"] = "1000:30"
    columns: Annotated[int, Range(8, 512), "voxels from left to right"] = 48
    rows: Annotated[int, Range(8, 512), "voxels from back to front"] = 48
    slices: Annotated[int, Range(4, 512), "voxels from bottom to top"] = 24
    spacing: Annotated[float, Range(0.2, 20, "mm"), "size of a voxel in the slice"] = 2.0
    thickness: Annotated[float, Range(0.2, 20, "mm"), "distance of the slices"] = 2.0
    snr: Annotated[float, Range(0, 10_000), "mean of white matter at b = 0 over the noise; 0 for no noise"] = 20.0
    varying: Annotated[bool, "more noise in the middle, as with parallel imaging"] = False
    correlated: Annotated[bool, "neighbors share noise, as where k-space was filled with zeros"] = False
    format: Annotated[DwiFormat, "files to write"] = DwiFormat.NIFTI

    def validate(self) -> list[str]:
        reasons = super().validate()
        try:
            parse_shells(self.shells)
        except ValueError as error:
            reasons.append(str(error))
        return reasons


@dataclass(frozen=True)
class EvaluateInputs:
    """A result and the truth, such as a phantom's."""

    dwi: Annotated[Path, "enhanced scan"]
    truth: Annotated[Path, "clean scan of the same volumes"]
    noisy: Annotated[Path | None, "what was enhanced, for the metrics of the residual"] = None
    mask: Annotated[Path | None, "where metrics are computed; found if left out"] = None
    labels: Annotated[Path | None, "labels.nii.gz of dwmri phantom, for lesions and white matter"] = None


@dataclass(frozen=True)
class ExportInputs:
    """A scan, with its .bval and .bvec files where it is a NIfTI file."""

    dwi: Annotated[Path, "scan: NIfTI, DWI NRRD, MRtrix .mif, or a DICOM folder"]
    bval: Annotated[Path | None, "b-values of a NIfTI scan; the file of the same name if left out"] = None
    bvec: Annotated[Path | None, "directions of a NIfTI scan; the file of the same name if left out"] = None


@dataclass(frozen=True)
class ExportParameters(PrepareParameters):
    """Settings of `dwmri export`."""

    format: Annotated[DwiFormat, "nrrd for Slicer; nifti with .bval and .bvec for FSL, MRtrix and dipy"] = (
        DwiFormat.NRRD
    )


def parse_volumes(text: str, name: str = "impute") -> list[int]:
    """Volume numbers in rising order, each once; none for an empty text.

    Args:
        text: numbers apart by commas.
        name: of the setting, for messages.

    Raises:
        ValueError: with the reason.
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if wrong := [part for part in parts if not (part.isascii() and part.isdecimal())]:
        raise ValueError(f"{name}: {wrong[0]!r} is not the number of a volume; give them from 0 on, as 3,17")
    return sorted({int(part) for part in parts})


def parse_shells(text: str) -> list[tuple[float, int]]:
    """b-value and number of directions of each shell.

    Raises:
        ValueError: with the reason.
    """
    shells = []
    for part in text.split(","):
        b, colon, count = part.partition(":")
        try:
            shell = float(b), int(count)
        except ValueError:
            shell = 0.0, 0
        if not colon or not 50 < shell[0] <= 50_000 or not 1 <= shell[1] <= 1000:
            raise ValueError(f"shells: {part!r} is not a b-value above 50 and a number of directions, as 1000:30")
        shells.append(shell)
    return shells
