"""Objects as training batches, and their division into training, validation and test sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.data.errors import InputError
from deeprecon.scattering.fit.network import Normalization
from deeprecon.scattering.parameters import TrainParameters
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.training.batches import Indices

InputFunction = Callable[[FarFieldData], npt.NDArray[np.float32]]
"""From far fields to the input of a network, (S, channels, angles)."""


class ObjectDataset:
    """Objects as tensors on a device.

    Args:
        measured: objects with true images.
        rings: of the true images.
        to_input: computes the input of the network.
        normalization: computed from these objects if None.
        device: of the tensors.
    """

    def __init__(
        self,
        measured: FarFieldData,
        rings: int,
        to_input: InputFunction,
        normalization: Normalization | None = None,
        device: str = "cpu",
    ) -> None:
        values, truth = to_input(measured), measured.truth(rings)
        if normalization is None:
            normalization = Normalization(float(np.sqrt((values**2).mean())), float(np.abs(truth).max()))
            if not normalization.data or not normalization.contrast:
                raise InputError(f"{measured.name}: all objects are empty.", "Give data of objects that scatter.")
        self.measured, self.to_input, self.normalization = measured, to_input, normalization
        self.inputs = torch.from_numpy(values / np.float32(normalization.data)).to(device)
        self.truth = torch.from_numpy(truth / np.float32(normalization.contrast)).to(device)

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, chosen: Indices, parameters: TrainParameters) -> tuple[Tensor, Tensor]:
        """Inputs (B, channels, angles) with new noise and truth (B, angles, rings), all rotated by one random angle."""
        index = torch.from_numpy(chosen).to(self.inputs.device)
        inputs, truth = self.inputs[index], self.truth[index]
        if parameters.noise or parameters.relative_noise:
            inputs = self._noisy(self.measured.subset(chosen), parameters, int(torch.randint(2**31, ())))
        shift = int(torch.randint(truth.shape[1], ()))
        return torch.roll(inputs, shift, 2), torch.roll(truth, shift, 1)

    def noisy_inputs(self, parameters: TrainParameters, seed: int) -> Tensor:
        """Inputs (S, channels, angles) of all objects with noise."""
        if not parameters.noise and not parameters.relative_noise:
            return self.inputs
        return self._noisy(self.measured, parameters, seed)

    def _noisy(self, measured: FarFieldData, parameters: TrainParameters, seed: int) -> Tensor:
        noisy = measured.with_noise(parameters.noise / 100, parameters.relative_noise / 100, seed)
        values = self.to_input(noisy) / np.float32(self.normalization.data)
        return torch.from_numpy(values).to(self.inputs.device)


def split_objects(count: int, train_share: float, seed: int) -> dict[str, Indices]:
    """Sorted indices of the objects of the sets "train", "validation" and "test"; a random split.

    Objects outside the training set are halved between validation, which selects the weights, and test.

    Raises:
        InputError: too few objects for three sets.
    """
    order = np.random.default_rng(seed).permutation(count)
    first = round(train_share * count)
    second = first + (count - first + 1) // 2
    sets = {"train": order[:first], "validation": order[first:second], "test": order[second:]}
    if not all(len(chosen) for chosen in sets.values()):
        raise InputError(
            f"{count} objects are too few to train, validate and test with a training share of {train_share:g}.",
            "Give more objects (scattering phantom --count 2000).",
        )
    return {name: np.sort(chosen) for name, chosen in sets.items()}
