"""The projection error: a CT is projected with the X-ray's geometry and compared with the X-ray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid, block_mean
from deeprecon.ctpa.observe.projection import Geometry, Image, fit_gain_offset, line_integrals
from deeprecon.numerics.similarity import correlation, ssim

Mask = npt.NDArray[np.bool_]

MAX_CHECK_ROWS = 160
"""Maximum rows of the images whose error is measured."""


@dataclass(frozen=True, eq=False)
class ProjectionCheck:
    """Comparison of a CT with an X-ray.

    Attributes:
        xray: (rows towards the head, columns to the left) standardized, on the CT's detector.
        projected: the CT's projection, with gain and offset fitted to the X-ray.
        difference: projected minus X-ray; 0 outside of the film.
        nrmse: root mean square of the difference over the X-ray's standard deviation; 1 for a constant image.
        ncc: Pearson's correlation.
        ssim: structural similarity of the two images.
    """

    xray: Image
    projected: Image
    difference: Image
    nrmse: float
    ncc: float
    ssim: float


def check_projection(
    hu: npt.ArrayLike, xray: Image, grid: Grid, geometry: Geometry, covered: Mask | None = None
) -> ProjectionCheck:
    """Project a CT and compare it with an X-ray, whose gain and offset are unknown and fitted.

    The metrics are of images of at most `MAX_CHECK_ROWS` rows, since finer noise is no anatomy.

    Args:
        hu: (k, j, i) on the grid.
        xray: (rows towards the head, columns to the left) on the detector of `projection.detector_axes`, or an integer
            factor finer.
        grid, geometry: see there.
        covered: pixels within the film; all if left out.
    """
    fine = line_integrals(hu, grid, geometry)
    counts = np.ones_like(xray) if covered is None else covered.astype(np.float32)
    wanted, counts = (block_mean(image, len(xray) // len(fine)) for image in (xray, counts))
    shrink = max(1, -(-len(fine) // MAX_CHECK_ROWS))
    shrink = shrink if len(fine) % shrink == 0 else 1
    coarse, known, part = (block_mean(image, shrink) for image in (fine, wanted, counts))
    inside = part > 0.5
    x, y = coarse[inside].astype(np.float64), known[inside].astype(np.float64)
    gain, offset = fit_gain_offset(x, y)
    error = gain * x + offset - y
    projected = (gain * fine + offset).astype(np.float32)
    fitted = np.where(inside, gain * coarse + offset, known)
    return ProjectionCheck(
        xray=wanted,
        projected=projected,
        difference=np.where(counts > 0.5, projected - wanted, 0).astype(np.float32),
        nrmse=float(np.sqrt(np.mean(error**2))) / max(float(y.std()), 1e-9),
        ncc=correlation(x, y),
        ssim=ssim(fitted, known, float(np.ptp(known))),
    )
