"""How well each volume is explained by the best linear combination of the other volumes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_RIDGE = 1e-12
"""Of the trace, added to the diagonal: the covariance of linearly dependent volumes has no inverse otherwise."""


def covariance(voxels: Doubles, centered: bool = True) -> Doubles:
    """(V, V) covariance of the volumes over voxels (N, V), N > V, over the degrees of freedom that V regressors leave.

    Args:
        voxels: (N, V).
        centered: about the mean; about zero if not.
    """
    if centered:
        voxels = voxels - voxels.mean(axis=0)
    found: Doubles = voxels.T @ voxels / (len(voxels) - voxels.shape[1])
    return found


def residual_std(covariances: Doubles) -> Doubles:
    """(..., V) standard deviation of the residual of the linear regression of each volume on all others.

    The residual variances of all these regressions are 1 over the diagonal of the inverse covariance.

    Args:
        covariances: (..., V, V).
    """
    trace = np.maximum(np.trace(covariances, axis1=-2, axis2=-1), 1e-12)[..., None, None]
    inverse = np.linalg.inv(covariances + _RIDGE * trace * np.eye(covariances.shape[-1]))
    found: Doubles = 1 / np.sqrt(np.maximum(np.diagonal(inverse, axis1=-2, axis2=-1), 1e-30))
    return found
