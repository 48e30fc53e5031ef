# Made by Testing/write_stubs.py from the parameters of the verbs; not to be edited.
from collections.abc import Sequence
from os import PathLike
from typing import Literal

from deeprecon.calls.call import Input
from deeprecon.calls.result import Result
from deeprecon.dwmri.api import EnhancedScan as EnhancedScan

def enhance(
    *,
    dwi: Input | None = None,
    bval: Input | None = None,
    bvec: Input | None = None,
    mask: Input | None = None,
    bundle: Input | None = None,
    bids: Input | None = None,
    method: Literal[
        "network", "pca", "mppca", "local-pca", "nlmeans", "patch2self", "patch2self-dipy-v1", "patch2self-dipy-v3"
    ] = "network",
    bias_correction: bool = True,
    steps: int = 800,
    repair: bool = False,
    impute: str = "",
    exclude: str = "",
    b0_threshold: float = 50.0,
    background: Literal["keep", "zero"] = "keep",
    stored: Literal["float", "as-input"] = "float",
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> EnhancedScan:
    """Denoise a diffusion scan, or all of a BIDS dataset."""

def evaluate(
    dwi: Input,
    truth: Input,
    *,
    noisy: Input | None = None,
    mask: Input | None = None,
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
    """Compare an enhanced scan with the truth."""

def export(
    dwi: Input,
    *,
    bval: Input | None = None,
    bvec: Input | None = None,
    exclude: str = "",
    b0_threshold: float = 50.0,
    format: Literal["nifti", "nrrd"] = "nrrd",
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Write a scan as DWI NRRD for Slicer, or as NIfTI with .bval and .bvec."""

def phantom(
    *,
    b0: int = 3,
    shells: str = "1000:30",
    columns: int = 48,
    rows: int = 48,
    slices: int = 24,
    spacing: float = 2.0,
    thickness: float = 2.0,
    snr: float = 20.0,
    varying: bool = False,
    correlated: bool = False,
    format: Literal["nifti", "nrrd"] = "nifti",
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Make a scan whose clean signal is known."""

def prepare(
    dwi: Input,
    *,
    bval: Input | None = None,
    bvec: Input | None = None,
    mask: Input | None = None,
    exclude: str = "",
    b0_threshold: float = 50.0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Read and check a scan: its table of gradients, its mask and lost slices."""

def train(
    *,
    noisy: Input | Sequence[Input] = (),
    clean: Input | Sequence[Input] = (),
    mask: Input | Sequence[Input] = (),
    network: Literal[
        "baseline",
        "multi-scale",
        "progressive",
        "frequency",
        "volume-specific",
        "adaptive-skip",
        "progressive+multi-scale",
        "frequency+adaptive-skip",
        "unet",
    ] = "multi-scale",
    width: int = 24,
    steps: int = 2000,
    batch: int = 4,
    accumulate: int = 1,
    learning_rate: float = 0.003,
    edge_weight: float = 0.5,
    in_stages: bool = False,
    compile: bool = False,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Train a supervised network on pairs of scans, and keep it as a model bundle for `enhance`."""
