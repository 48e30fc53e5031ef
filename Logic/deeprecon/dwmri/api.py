"""The verbs of `dwmri` as functions of Python: `deeprecon.dwmri.enhance` and the others."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from deeprecon.calls.call import call
from deeprecon.calls.result import Result
from deeprecon.calls.signature import documented
from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.volume import Volume


class EnhancedScan(Result):
    """An enhanced diffusion scan; see `deeprecon.Result` for what all results have.

    Those of a BIDS dataset are the dataset of derivatives in `folder`.
    """

    @cached_property
    def scan(self) -> DwiScan:
        """The enhanced scan, (k, j, i, V), with the gradients of the given one."""
        return read_dwi(self.outputs["dwi"])

    @cached_property
    def mask(self) -> Volume | None:
        """The brain mask, (k, j, i); None for a single volume, which is not denoised. So are the next ones."""
        return self._volume("mask")

    @cached_property
    def noise(self) -> Volume | None:
        """The standard deviation of the noise, (k, j, i), in the unit of the scan."""
        return self._volume("noise")

    @cached_property
    def uncertainty(self) -> Volume | None:
        """The standard deviation of the enhanced values, (k, j, i), in the unit of the scan."""
        return self._volume("uncertainty")

    @cached_property
    def fa(self) -> Volume | None:
        """Fractional anisotropy of the enhanced scan, (k, j, i); None without 6 directions."""
        return self._volume("fa_after")

    @cached_property
    def md(self) -> Volume | None:
        """Mean diffusivity of the enhanced scan in mm2/s, (k, j, i); None without 6 directions."""
        return self._volume("md_after")


@documented("dwmri")
def enhance(**values: Any) -> EnhancedScan:
    """Denoise a diffusion scan, or all of a BIDS dataset.

    A scan is a file or a `DwiScan`: an array (k, j, i, V) with an affine from voxels to RAS mm and its gradients, see
    `DwiScan.from_fsl`.

    Returns
    -------
    EnhancedScan
        `scan`, `mask`, `noise`, `uncertainty`, `fa` and `md`, and `figures` such as ``snr``.

    Examples
    --------
    >>> import deeprecon
    >>> head = deeprecon.dwmri.phantom(columns=20, rows=20, slices=6, shells="1000:12")
    >>> better = deeprecon.dwmri.enhance(dwi=head.outputs["dwi"], method="pca")
    >>> better.scan.array.shape
    (6, 20, 20, 15)
    """
    return call(EnhancedScan, "dwmri", "enhance", values)


@documented("dwmri")
def train(**values: Any) -> Result:
    """Train a supervised network on pairs of scans, and keep it as a model bundle for `enhance`.

    Returns
    -------
    Result
        The output ``bundle``, a folder.
    """
    return call(Result, "dwmri", "train", values)


@documented("dwmri")
def prepare(**values: Any) -> Result:
    """Read and check a scan: its table of gradients, its mask and lost slices.

    Returns
    -------
    Result
        The outputs ``mask`` and ``volumes``, a table.
    """
    return call(Result, "dwmri", "prepare", values)


@documented("dwmri")
def phantom(**values: Any) -> Result:
    """Make a scan whose clean signal is known.

    Returns
    -------
    Result
        The outputs ``dwi`` (noisy) and ``truth`` with their gradients, ``mask``, ``noise`` and ``labels``.

    Examples
    --------
    >>> import deeprecon
    >>> head = deeprecon.dwmri.phantom(columns=20, rows=20, slices=6, shells="1000:12")
    >>> scan = deeprecon.read_dwi(head.outputs["dwi"])
    >>> scan.array.shape, scan.gradients.bvals.max()
    ((6, 20, 20, 15), np.float64(1000.0))
    """
    return call(Result, "dwmri", "phantom", values)


@documented("dwmri")
def export(**values: Any) -> Result:
    """Write a scan as DWI NRRD for Slicer, or as NIfTI with .bval and .bvec.

    Returns
    -------
    Result
        The output ``dwi`` and, for NIfTI, ``bval`` and ``bvec``.
    """
    return call(Result, "dwmri", "export", values)


@documented("dwmri")
def evaluate(**values: Any) -> Result:
    """Compare an enhanced scan with the truth.

    Returns
    -------
    Result
        `figures`: errors of the signal, of FA and of MD, over the mask and by tissue.
    """
    return call(Result, "dwmri", "evaluate", values)
