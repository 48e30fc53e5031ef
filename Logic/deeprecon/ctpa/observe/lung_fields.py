"""The lung fields of a frontal film: the dark region on each side of the mediastinum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Image = npt.NDArray[np.float32]

THRESHOLDS = 40
"""Gray values that are tried on each side."""
SMALLEST, LARGEST = 0.06, 0.65
"""Share of one side that its lung field takes."""
SMOOTHING = 1.0
"""Standard deviation in pixels of the Gaussian before."""
BACKGROUND = 0.25
"""Standard deviation of the Gaussian that is subtracted, as a share of the width: films are brighter at one end."""
WEIGHT_OF_AREA = 0.5
"""Power of the area in the comparison of contours: lower ones prefer the darkest part of a lung."""


def lung_fields(image: npt.ArrayLike) -> Mask:
    """The pixels of the lung fields; none on a side where no field is found.

    On each side of the middle, of all gray values the one is taken whose contour is steep and encloses much. A dark
    region that reaches the border or the middle is no lung field.

    Args:
        image: (rows, columns), bone bright, head at either end, some 100 pixels across.
    """
    from scipy import ndimage

    values = np.asarray(image, np.float32)
    values = values - ndimage.gaussian_filter(values, BACKGROUND * values.shape[1])
    smooth = ndimage.gaussian_filter(values, SMOOTHING)
    steepness = ndimage.gaussian_gradient_magnitude(values, SMOOTHING)
    middle = values.shape[1] // 2
    sides = [_lung_field(smooth[:, part], steepness[:, part]) for part in (slice(None, middle), slice(middle, None))]
    return np.concatenate(sides, axis=1)


def _lung_field(smooth: Image, steepness: Image) -> Mask:
    from scipy import ndimage

    best, found = 0.0, np.zeros(smooth.shape, bool)
    for threshold in np.quantile(smooth, np.linspace(0.05, 0.8, THRESHOLDS)):
        field = _largest_region(smooth < threshold)
        if field is None:
            continue
        edge = field & ~ndimage.binary_erosion(field)
        score = float(steepness[edge].mean()) * float(field.mean()) ** WEIGHT_OF_AREA
        if score > best:
            best, found = score, field
    return found


def _largest_region(dark: Mask) -> Mask | None:
    """The largest region, without holes, that does not reach the border; None if it has not the size of a lung."""
    from scipy import ndimage

    labels, count = ndimage.label(dark)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) / dark.size
    sizes[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1], [0]]))] = 0
    number = int(sizes.argmax())
    if not SMALLEST <= sizes[number] <= LARGEST:
        return None
    region: Mask = ndimage.binary_fill_holes(labels == number)
    return region
