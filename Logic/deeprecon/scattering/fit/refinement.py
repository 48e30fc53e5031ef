"""Full-wave inversion of far fields of full circles, from images of another method or from Tikhonov's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.scattering.fit.full_wave import FAR_FIELD_SMOOTHING, MIN_CONTRAST, Measured, invert_full_wave
from deeprecon.scattering.fit.measured_bands import far_field_band
from deeprecon.scattering.parameters import Sign
from deeprecon.scattering.physics.forward_model import ForwardModel
from deeprecon.scattering.physics.image_grids import pixel_centers, required_pixels, to_polar, to_square
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.far_field_data import FarFieldData

Floats = npt.NDArray[np.floating[Any]]


_USUAL_MISFIT = 0.25


class FarFieldRefinement:
    """Refines images of far fields, one object after the other; the unit of length is the radius of the region.

    Args:
        measured: far fields.
        sign: of the contrast.
        smoothing: weight of the total variation; that of far fields if None.
        steps: see `invert_full_wave`.
        device: of torch.
        should_stop: asked at each step.
    """

    def __init__(
        self,
        measured: FarFieldData,
        sign: Sign,
        smoothing: float | None,
        steps: int,
        device: str,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._measured, self._sign, self._steps = measured, sign, steps
        self._smoothing = FAR_FIELD_SMOOTHING if smoothing is None else smoothing
        self._device, self._should_stop = device, should_stop
        self._axis = pixel_centers(required_pixels(measured.k, 0.0))
        self._region = Region(np.zeros(2), 2.0, len(self._axis))
        self._inside = np.hypot(*np.meshgrid(self._axis, self._axis)) <= 1
        self._model: ForwardModel | None = None

    def band(self, index: int) -> Measured:
        """Data, noise and model of an object."""
        band = far_field_band(self._measured, index, self._region, self._model, self._device)
        self._model = band.model
        return band

    def misfit(self, index: int, polar: Floats) -> float:
        """|F(q) - d| / |d| of a (angles, rings) image."""
        return self.band(index).misfit(np.maximum(to_square(polar, self._axis), MIN_CONTRAST))

    def refine(self, index: int, polar: Floats) -> tuple[npt.NDArray[np.float32], float]:
        """The (angles, rings) image that full-wave inversion makes of one, and the objective that it has reached.

        Raises:
            InputError: the wave equation cannot be solved.
        """
        start = to_square(np.asarray(polar, np.float64), self._axis)
        found = invert_full_wave(
            [self.band(index)],
            start,
            self._sign,
            self._smoothing,
            self._steps,
            should_stop=self._should_stop,
            inside=self._inside,
        )
        image = to_polar(found.contrast, self._axis, *polar.shape)
        return image.astype(np.float32), found.objective


def refine_network(
    refinement: FarFieldRefinement,
    images: Floats,
    linear: Floats,
    usual_misfit: float | None,
    on_progress: Callable[[float], None],
) -> dict[int, npt.NDArray[np.float32]]:
    """Refined images, by object, of those objects whose image by a network does not explain the data.

    An image explains the data where its misfit is that of the noise, or what the network usually leaves of objects like
    those of its training: refinement would hardly make such an image better. Others are refined from the network's
    image and from the linear one; the one with the lower objective, which is smoother where both fit, is kept.

    Args:
        refinement: of the data.
        images: (S, angles, rings) by the network.
        linear: the same by Tikhonov regularization.
        usual_misfit: of the network's images of objects like those of its training; 0.25 if None.
        on_progress: is given the share of the objects that is done.

    Raises:
        InputError: the wave equation cannot be solved for an image of the network.
    """
    refined = {}
    for index, (image, other) in enumerate(zip(images, linear, strict=True)):
        noise = refinement.band(index).noise or 0.0
        if refinement.misfit(index, image) > max(_USUAL_MISFIT if usual_misfit is None else usual_misfit, 1.2 * noise):
            found = [pair for start in (image, other) if (pair := _refined(refinement, index, start)) is not None]
            if found:
                refined[index] = min(found, key=lambda pair: pair[1])[0]
        on_progress((index + 1) / len(images))
    return refined


def _refined(refinement: FarFieldRefinement, index: int, start: Floats) -> tuple[npt.NDArray[np.float32], float] | None:
    """As `FarFieldRefinement.refine`; None from an image so strong that the wave equation cannot be solved."""
    try:
        return refinement.refine(index, start)
    except InputError:
        return None
