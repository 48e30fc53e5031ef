"""The projection geometry of a frontal X-ray: line integrals through a CT, and what a detector measures.

A point source magnifies every coronal plane by SID / (SID - d), d being the plane's distance from the detector. So a
cone beam is one separable interpolation per plane, without ray marching. Attenuation: mu = 0.02 / mm
(1 + HU / 1000), that of water at about 70 keV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

WATER = 0.02
"""Attenuation of water per mm."""


class Beam(Enum):
    """Shape of the beam."""

    PARALLEL = "parallel"
    CONE = "cone"


class View(Enum):
    """Side of the patient that the source is at: PA behind, AP in front."""

    PA = "PA"
    AP = "AP"


@dataclass(frozen=True)
class Geometry:
    """Positions of source, patient and detector.

    Attributes:
        beam: parallel rays, or a cone.
        view: see `View`.
        source_distance: from source to detector in mm (SID): usually 1800 upright, 1000 at the bedside.
        middle_distance: from the middle of the field of view to the detector in mm.
    """

    beam: Beam = Beam.CONE
    view: View = View.PA
    source_distance: float = 1800.0
    middle_distance: float = 200.0

    def magnification(self, y: npt.ArrayLike) -> Array:
        """Of coronal planes at `y` mm (growing to the back), from the plane to the detector."""
        y = np.asarray(y, float)
        if self.beam is Beam.PARALLEL:
            return np.ones_like(y)
        distance = self.middle_distance + (y if self.view is View.PA else -y)
        magnified: Array = self.source_distance / (self.source_distance - distance)
        return magnified

    def at_middle(self) -> float:
        """Magnification of the middle of the field; the detector image covers the field times this."""
        return float(self.magnification(0.0))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "beam": self.beam.value,
            "view": self.view.value,
            "source_distance": self.source_distance,
            "middle_distance": self.middle_distance,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Geometry:
        """From the values of `to_json`.

        Raises:
            KeyError, ValueError: other values.
        """
        source, middle = float(values["source_distance"]), float(values["middle_distance"])
        return cls(Beam(values["beam"]), View(values["view"]), source, middle)


def interpolation(points: Array, centers: Array) -> npt.NDArray[np.float32]:
    """(points, centers) weights of linear interpolation between evenly spaced centers; rows outside are zero."""
    step = centers[1] - centers[0]
    index = (points - centers[0]) / step
    weights = 1 - np.abs(index[:, None] - np.arange(len(centers))[None, :])
    positive: Image = np.maximum(weights, 0).astype(np.float32)
    return positive


def detector_axes(grid: Grid, geometry: Geometry) -> tuple[Array, Array]:
    """Centers of the detector's pixels in mm, (rows towards the head, columns to the left).

    As many pixels as the grid has voxels, over its field as it is magnified in the middle.
    """
    z, _, x = grid.axes()
    return z * geometry.at_middle(), x * geometry.at_middle()


def line_integrals(hu: npt.ArrayLike, grid: Grid, geometry: Geometry) -> Image:
    """The dimensionless integral of attenuation along the ray to each detector pixel.

    Args:
        hu: (k, j, i) on the grid.
        grid, geometry: see there.

    Returns:
        (rows towards the head, columns to the left) float32; see `detector_axes`.
    """
    z, y, x = grid.axes()
    v, u = detector_axes(grid, geometry)
    volume = np.asarray(hu)
    total = np.zeros((len(v), len(u)), np.float32)
    for index, magnification in enumerate(geometry.magnification(y)):
        plane = np.maximum(volume[:, index].astype(np.float32) + 1000, 0)
        if geometry.beam is Beam.PARALLEL:
            total += plane
        else:
            total += interpolation(v / magnification, z) @ plane @ interpolation(u / magnification, x).T
    step = grid.spacing[1]
    if geometry.beam is Beam.CONE:  # an oblique ray has a longer path through each plane
        slant = np.hypot(v[:, None], u[None, :]) / geometry.source_distance
        return (total * (WATER / 1000 * step * np.sqrt(1 + slant**2))).astype(np.float32)
    return total * np.float32(WATER / 1000 * step)


def expose(
    integrals: Image,
    rng: np.random.Generator,
    photons: float = 2e4,
    scatter: float = 0.2,
    gain: float = 0.15,
    blur: float = 0.6,
) -> Image:
    """The image that a detector measures: with scatter, photon noise, blur, logarithm, and unknown gain and offset.

    Args:
        integrals: (rows, columns).
        rng: of noise and gain.
        photons: that reach a pixel without a patient; 0 for no noise.
        scatter: scattered over primary intensity, spread over a tenth of the image.
        gain: the gain is drawn from exp(+-gain), the offset from +-gain / 2.
        blur: of the detector, standard deviation in pixels.

    Returns:
        (rows, columns) float32 in units of the line integral, but for gain and offset.
    """
    intensity = np.exp(-integrals.astype(np.float64))
    intensity += scatter * gaussian_blur(intensity, 0.1 * min(intensity.shape))
    if photons:
        intensity = rng.poisson(photons * intensity) / photons
    intensity = np.maximum(gaussian_blur(intensity, blur), 0.5 / (photons or 1e9))
    factor, offset = np.exp(rng.uniform(-gain, gain)), 0.5 * rng.uniform(-gain, gain)
    image: Image = (factor * -np.log(intensity) + offset).astype(np.float32)
    return image


def fit_gain_offset(projected: npt.ArrayLike, measured: npt.ArrayLike) -> tuple[float, float]:
    """Least squares gain and offset from projected to measured values: those of an exposure are unknown."""
    x, y = np.asarray(projected, np.float64).ravel(), np.asarray(measured, np.float64).ravel()
    gain, offset = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)[0]
    return float(gain), float(offset)


def gaussian_blur(image: Array, sigma: float) -> Array:
    """(rows, columns) filtered by a Gaussian of `sigma` pixels in the frequency domain, mirrored at the border."""
    from scipy.ndimage import fourier_gaussian

    width = [min(int(4 * sigma) + 1, count - 1) for count in image.shape]
    padded = np.pad(image, [(w, w) for w in width], mode="reflect")
    blurred: Array = np.fft.ifft2(fourier_gaussian(np.fft.fft2(padded), sigma)).real
    return blurred[width[0] : width[0] + image.shape[0], width[1] : width[1] + image.shape[1]]
