"""The verbs of `ctpa` as functions of Python: `deeprecon.ctpa.synthesize` and the others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.calls.call import Savers, call
from deeprecon.calls.result import Result
from deeprecon.calls.signature import documented
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume


class SyntheticCt(Result):
    """Synthetic CTs of one X-ray; see `deeprecon.Result` for what all results have.

    Those of a folder of X-rays lie in folders of their own among the `outputs`; ``SyntheticCt.load(folder)`` reads one.
    """

    @cached_property
    def ct(self) -> Volume:
        """The mean of the samples, (k, j, i) int16 in HU."""
        return read_volume(self.outputs["ct"])

    @cached_property
    def spread(self) -> Volume | None:
        """The standard deviation over the samples, (k, j, i) in HU; None for a single sample."""
        return self._volume("spread")

    @cached_property
    def samples(self) -> tuple[Volume, ...]:
        """The samples, (k, j, i) int16 in HU each."""
        return tuple(read_volume(path) for role, path in self.outputs.items() if role.startswith("sample_"))


def _save_picture(path: Path, pixels: npt.NDArray[Any]) -> Path:
    """Write a picture in the way in which Slicer stores one: a slice whose pixels of 1 mm stand for an unknown size."""
    if pixels.ndim != 2 or pixels.dtype.kind not in "buif":
        raise InputError(
            f"The {path.name} input is an array of shape {pixels.shape} and type {pixels.dtype}.",
            "Give an image as (rows, columns) of gray values, or a Volume.",
        )
    path = path.with_name(f"{path.name}.nrrd")
    write_volume(path, Volume(np.ascontiguousarray(pixels[None]), np.eye(4), path.name))
    return path


_SAVERS: Savers = {np.ndarray: _save_picture}


@documented("ctpa")
def synthesize(**values: Any) -> SyntheticCt:
    """Make synthetic CT pulmonary angiograms of a frontal chest X-ray, and assess their quality.

    An array (rows, columns) is taken as an image of the X-ray: the top row nearest to the head, the first column to the
    patient's right, brighter where more is absorbed; state the size of its pixels by `pixel_spacing`.

    With ``method="atlas"`` no model is needed: a CT of another chest, one of your own or a built-in one, is deformed
    until its projection fits the X-ray.

    Returns
    -------
    SyntheticCt
        `ct`, the mean of the `samples`, and their `spread` in HU, (k, j, i) in RAS mm; `figures` such as ``trust`` with
        its ``trust_reasons``, and ``nrmse`` between the X-ray and the projection of the CT.

    Examples
    --------
    With a model bundle of `train_diffusion`, whose folder is ``bundle``:

    >>> import deeprecon
    >>> chest = deeprecon.ctpa.phantom()
    >>> xray = chest.outputs["case_0000"] / "xray.nii.gz"
    >>> made = deeprecon.ctpa.synthesize(xray, bundle=bundle, samples=1, steps=1)
    >>> made.ct.array.ndim, made.spread
    (3, None)
    """
    return call(SyntheticCt, "ctpa", "synthesize", values, _SAVERS)


@documented("ctpa")
def phantom(**values: Any) -> Result:
    """Simulate chests and their X-rays, or the X-ray of a CT of your own.

    Returns
    -------
    Result
        The table ``manifest`` of the pairs, and a folder for each chest, such as ``case_0000``, with ``ct.nii.gz``,
        ``xray.nii.gz`` and ``labels.nii.gz``.
    """
    return call(Result, "ctpa", "phantom", values)


@documented("ctpa")
def prepare(**values: Any) -> Result:
    """Bring pairs of CT and X-ray onto one grid, into a store for training.

    Returns
    -------
    Result
        The output ``store``, which the trainings take, and the table ``table`` of the cases.
    """
    return call(Result, "ctpa", "prepare", values)


@documented("ctpa")
def train_autoencoder(**values: Any) -> Result:
    """Train an autoencoder of CT on a prepared store, or on phantoms, and keep it as a model bundle.

    Returns
    -------
    Result
        The output ``bundle``, a folder.
    """
    return call(Result, "ctpa", "train-autoencoder", values)


@documented("ctpa")
def train_diffusion(**values: Any) -> Result:
    """Train a denoiser on a prepared store with its X-rays, and keep it as a model bundle for `synthesize`.

    Returns
    -------
    Result
        The output ``bundle``, a folder.
    """
    return call(Result, "ctpa", "train-diffusion", values)


@documented("ctpa")
def evaluate(**values: Any) -> Result:
    """Compare a synthetic CT with the true one of the same patient.

    Returns
    -------
    Result
        `figures`: ``mae`` in HU, ``psnr`` in dB, ``ssim`` and others.
    """
    return call(Result, "ctpa", "evaluate", values, _SAVERS)


@documented("ctpa")
def export(**values: Any) -> Result:
    """Write a synthetic CT as a DICOM series that is marked as synthetic.

    Returns
    -------
    Result
        The output ``dicom``, a folder.
    """
    return call(Result, "ctpa", "export", values)
