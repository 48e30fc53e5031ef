"""Diffusion scans whose clean signal is known: a multi-tensor head with crossing bundles, folds, lesions and sheets.

The clean signal is built at twice the resolution and averaged, so that voxels hold partial volumes; noise is added as a
scanner does it, to the real and the imaginary part of a complex image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable, gradient_table
from deeprecon.data.diffusion.scan import DwiScan

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FINER = 2
"""Sub-voxels along each axis that are averaged into a voxel."""
SCALE = 300.0
"""Image value of white matter without diffusion weighting."""
ACROSS, ALONG, GRAY, FREE, LESION = 3.5e-4, 1.7e-3, 8.5e-4, 3e-3, 1.25e-3
"""Diffusivities in mm2/s: across and along a bundle, of gray matter, free water and lesions."""
_KEPT = (0.8, 0.7)
"""Shares of k-space along i and j that a scan with correlated noise measured; the rest was filled with zeros."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A scan and its truth.

    Attributes:
        clean: without noise, float32.
        noisy: as measured, float32; equal to `clean` without noise.
        mask: (k, j, i) head.
        labels: (k, j, i) masks by name: white, gray, fluid, lesions, crossings; voxels that are nearly pure.
        sigma: (k, j, i) float32 standard deviation of the noise in the real and the imaginary part.
    """

    clean: DwiScan
    noisy: DwiScan
    mask: Mask
    labels: dict[str, Mask]
    sigma: npt.NDArray[np.float32]


def make_phantom(
    shape: tuple[int, int, int] = (24, 48, 48),
    b0: int = 3,
    shells: Sequence[tuple[float, int]] = ((1000.0, 30),),
    snr: float = 20.0,
    seed: int = 0,
    noise_seed: int | None = None,
    varying: bool = False,
    correlated: bool = False,
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0),
) -> Phantom:
    """A head with noise.

    Args:
        shape: voxels (k, j, i).
        b0: volumes without diffusion weighting, spread over the series.
        shells: b-value in s/mm2 and number of directions of each.
        snr: mean of white matter at b = 0 over sigma; 0 for no noise.
        seed: of the anatomy's texture and lesions.
        noise_seed: of the noise; `seed` if left out.
        varying: sigma is 2.4 times as large in the middle as at the edges, as with parallel imaging.
        correlated: neighbors share noise, as where k-space was filled with zeros.
        spacing: voxel size in mm along i, j, k.
    """
    table = acquisition(b0, shells)
    signal, mask, labels = _signal(shape, table, np.random.default_rng(seed))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -0.5 * (np.array(shape[::-1]) - 1) * spacing
    clean = DwiScan((SCALE * signal).astype(np.float32), affine, table, "phantom")
    if snr == 0:
        return Phantom(clean, clean, mask, labels, np.zeros(shape, np.float32))
    rng = np.random.default_rng([seed if noise_seed is None else noise_seed, 7])
    level = float(clean.array[labels["white"]][:, table.b0].mean()) / snr
    sigma = level * _profile(shape) if varying else np.full(shape, level)
    array = add_noise(clean.array.astype(np.float32), sigma, rng, correlated)
    return Phantom(clean, clean.with_array(array), mask, labels, sigma.astype(np.float32))


def acquisition(b0: int, shells: Sequence[tuple[float, int]]) -> GradientTable:
    """A table with evenly spread directions in shuffled order and b0 volumes in between."""
    bvals = np.concatenate([np.full(count, b) for b, count in shells])
    directions = np.concatenate([_half_sphere(count) for _, count in shells])
    order = np.random.default_rng(1).permutation(len(bvals))
    total = b0 + len(bvals)
    places = np.linspace(0, total - 1, b0 + 1).astype(int)[:b0]
    weighted = np.setdiff1d(np.arange(total), places)
    b, vectors = np.zeros(total), np.zeros((total, 3))
    b[weighted], vectors[weighted] = bvals[order], directions[order]
    return gradient_table(b, vectors, "phantom")


def add_noise(
    clean: npt.NDArray[np.float32], sigma: Array, rng: np.random.Generator, correlated: bool = False
) -> npt.NDArray[np.float32]:
    """Magnitude of a complex image with Gaussian noise (Rician).

    Args:
        clean: (k, j, i, V).
        sigma: (k, j, i) of the real and of the imaginary part.
        rng: of the noise.
        correlated: see `make_phantom`.
    """
    noisy = np.empty_like(clean)
    for volume in range(clean.shape[-1]):
        noise = rng.standard_normal(clean.shape[:3]) + 1j * rng.standard_normal(clean.shape[:3])
        if correlated:
            noise = _zero_filled(noise)
        noisy[..., volume] = np.abs(clean[..., volume] + sigma * noise)
    return noisy


def smooth(array: Array, sigma: float) -> Array:
    """An array (k, j, i) after a Gaussian of `sigma` voxels, mirrored at its edges, by Fourier transform."""
    from scipy.ndimage import fourier_gaussian  # Slicer loads this module at its start

    width = [min(int(4 * sigma) + 1, count - 1) for count in array.shape]
    padded = np.pad(array, [(w, w) for w in width], mode="reflect")
    filtered = np.fft.ifftn(fourier_gaussian(np.fft.fftn(padded), sigma)).real
    result: Array = filtered[tuple(slice(w, w + count) for w, count in zip(width, array.shape, strict=True))]
    return result


def _half_sphere(count: int) -> Array:
    """(count, 3) unit vectors on a golden spiral over half a sphere."""
    index = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - index / count), np.pi * (1 + 5**0.5) * index
    points: Array = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    return points


def _texture(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    """Smooth noise of variance 1."""
    field = smooth(rng.standard_normal(shape), sigma)
    normalized: Array = field / field.std()
    return normalized


def _signal(
    shape: tuple[int, int, int], table: GradientTable, rng: np.random.Generator
) -> tuple[Array, Mask, dict[str, Mask]]:
    """Signal (k, j, i, V) with 1 for white matter at b = 0, the head, and the labels."""
    fine = tuple(FINER * count for count in shape)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, count) for count in fine], indexing="ij")
    head, gray, fluid = _tissues(x, y, z)
    white = head & ~gray & ~fluid
    inside, axes = _bundles(x, y, z, rng)
    weights = inside / np.maximum(inside.sum(axis=0), 1)
    radial = _unit(x + 0.15, y + 0.1, 0.6 * z + 0.2)
    elsewhere = white & ~inside.any(axis=0)
    sheet = (np.abs(np.abs(y) - 0.62) < 0.02) & white  # about one voxel thick
    lesions = np.zeros(fine, bool)
    for center in rng.uniform(-0.5, 0.5, (14, 3)):
        lesions |= (x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2 < rng.uniform(0.03, 0.07) ** 2
    lesions &= white

    along = ALONG * (1 + 0.05 * _texture(rng, fine, 5))
    across = ACROSS * (1 + 0.10 * _texture(rng, fine, 5))
    gray_diffusivity = GRAY * (1 + 0.06 * _texture(rng, fine, 4))
    proton = 1.0 * white + 1.35 * gray + 2.6 * fluid
    proton[lesions] = 1.7
    proton *= (1 + 0.05 * _texture(rng, fine, 3)) * (1 + 0.02 * _texture(rng, fine, 1))
    proton *= (1 + 0.25 * x - 0.15 * y + 0.15 * z**2) * head

    signal = np.empty((*shape, len(table)))
    for volume, (b, vector) in enumerate(zip(table.bvals, table.directions, strict=True)):

        def through(axis: Array, b: float = b, vector: Array = vector) -> Array:
            return -b * (across + (along - across) * (axis @ vector) ** 2)

        decay = sum(w * np.exp(through(axis)) for w, axis in zip(weights, axes, strict=True))
        decay = np.where(elsewhere, np.exp(0.6 * through(radial) - 0.4 * b * gray_diffusivity), decay)
        decay = np.where(gray, np.exp(-b * gray_diffusivity), decay)
        decay = np.where(sheet, np.exp(through(axes[2])), decay)
        decay = np.where(lesions, np.exp(-b * LESION), decay)
        decay = np.where(fluid, np.exp(-b * FREE), decay)
        signal[..., volume] = _averaged(proton * decay)

    pure = {
        "white": _averaged(white & ~lesions) > 0.9,
        "gray": _averaged(gray) > 0.8,
        "fluid": _averaged(fluid) > 0.8,
        "lesions": _averaged(lesions) > 0.5,
    }
    pure["crossings"] = pure["white"] & (_averaged(inside.sum(axis=0) >= 2) > 0.9)
    return signal, _averaged(head) > 0.5, pure


def _tissues(x: Array, y: Array, z: Array) -> tuple[Mask, Mask, Mask]:
    """Head, folded gray matter, and fluid around the brain and in the ventricles."""
    radius = np.sqrt((x / 0.92) ** 2 + (y / 0.92) ** 2 + (z / 0.95) ** 2)
    angle = np.arctan2(y, x)
    head = radius < 1
    fold = 0.045 * np.sin(9 * angle + 3 * z) + 0.03 * np.sin(14 * angle - 5 * z)
    ventricles = ((np.abs(x) - 0.17) / 0.09) ** 2 + (y / 0.38) ** 2 + (z / 0.5) ** 2 < 1
    fluid = (head & (radius > 0.955)) | ventricles
    return head, head & (radius > 0.80 + fold) & ~fluid, fluid


def _bundles(x: Array, y: Array, z: Array, rng: np.random.Generator) -> tuple[Mask, tuple[Array, Array, Array]]:
    """(3, k, j, i) places and the directions of callosal arc, corticospinal tract and longitudinal fasciculus."""

    def bend() -> Array:
        return 0.06 * _texture(rng, x.shape, 6)

    turn = np.arctan2(z + 0.35, x)
    arc = _unit(-np.sin(turn), bend(), np.cos(turn))
    tract = _unit(0.25 * x + bend(), 0.1 * y, np.ones(x.shape))
    fascicle = _unit(0.2 * x * np.sign(y) + bend(), np.ones(x.shape), 0.15 * z + bend())
    inside = np.stack(
        [
            (np.abs(np.sqrt(x**2 + (z + 0.35) ** 2) - 0.55) < 0.14) & (np.abs(y) < 0.5),
            (np.abs(np.abs(x) - 0.42) < 0.13) & (np.abs(y) < 0.3),
            (np.abs(np.abs(x) - 0.52) < 0.14) & (np.abs(z - 0.1) < 0.35),
        ]
    )
    return inside, (arc, tract, fascicle)


def _unit(x: Array, y: Array, z: Array) -> Array:
    """(k, j, i, 3) unit vectors in RAS."""
    vectors = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
    unit: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _averaged(fine: npt.NDArray[np.generic]) -> Array:
    k, j, i = (count // FINER for count in fine.shape)
    mean: Array = fine.reshape(k, FINER, j, FINER, i, FINER).astype(float).mean(axis=(1, 3, 5))
    return mean


def _profile(shape: tuple[int, int, int]) -> Array:
    """(k, j, i) noise that is largest in the middle, with mean 1."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, count) for count in shape], indexing="ij")
    profile = 0.7 + np.exp(-(x**2 + y**2 + z**2) / 0.5)
    normalized: Array = profile / profile.mean()
    return normalized


def _zero_filled(noise: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Complex noise as if the outer parts of k-space had been filled with zeros, with its variance kept."""
    _, j, i = noise.shape
    kept = (np.abs(np.fft.fftfreq(j)) <= _KEPT[1] / 2)[:, None] & (np.abs(np.fft.fftfreq(i)) <= _KEPT[0] / 2)
    filtered: npt.NDArray[np.complex128] = np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) * kept, axes=(1, 2))
    return np.asarray(filtered / np.sqrt(kept.mean()))
