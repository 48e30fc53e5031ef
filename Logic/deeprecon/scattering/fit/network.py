"""Inversion of far fields by a trained BCR-Net, and its model bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deeprecon.data.errors import InputError
from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet, parameter_count
from deeprecon.scattering.read.far_field_data import FarFieldData, midpoint_channels
from deeprecon.training.bundle import Bundle, Card, load_weights, read_bundle, write_bundle
from deeprecon.training.fabric import SingleDevice

NETWORK = "bcrnet"
"""Name of the network in the metadata of a bundle."""
APERTURE = "full circle"
_BATCH, _CHUNK = 64, 256
_K_TOLERANCE = 1e-3
"""Largest relative difference of two equal wave numbers."""
_MAX_AMPLITUDE_RATIO = 4.0
"""Between data and training data, in either direction, without a warning."""


@dataclass(frozen=True)
class Normalization:
    """Units of the inputs and outputs of a network. Nothing is shifted: an empty region stays 0.

    Attributes:
        data: root mean square of the training inputs.
        contrast: largest absolute value of the training contrast.
    """

    data: float
    contrast: float


def bcrnet_input(measured: FarFieldData) -> npt.NDArray[np.float32]:
    """(S, N + 2, N) input of `BcrNet`, see `midpoint_channels`; in parts, as coordinates change in double precision."""
    starts = range(0, len(measured), _CHUNK)
    return np.concatenate([midpoint_channels(measured.subset(slice(s, s + _CHUNK)).midpoint()) for s in starts])


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and its range of validity.

    Attributes:
        network: BCR-Net.
        normalization: of inputs and outputs.
        k: wave number times radius of the training data, the only valid one.
        contrast: smallest and largest of the training data.
        misfit: median |F(q) - d| / |d| of the network's images of objects like those of the training; None if unknown.
    """

    network: BcrNet
    normalization: Normalization
    k: float
    contrast: tuple[float, float]
    misfit: float | None = None

    def check(self, measured: FarFieldData) -> list[str]:
        """Warnings about data that differ from the training data.

        Raises:
            InputError: the network is not valid for them: another wave number or number of directions.
        """
        if abs(measured.k - self.k) > _K_TOLERANCE * self.k:
            raise InputError(
                f"The network was trained for k = {self.k:g} (wave number times radius), {measured.name} has "
                f"{measured.k:g}.",
                "Train one for these data, or use --method tikhonov.",
            )
        if measured.angles != self.network.architecture.angles:
            raise InputError(
                f"The network was trained on {self.network.architecture.angles} directions, {measured.name} has "
                f"{measured.angles}.",
                "Resample the data first (scattering prepare --angles).",
            )
        size = float(np.sqrt((bcrnet_input(measured) ** 2).mean())) / self.normalization.data
        if not 1 / _MAX_AMPLITUDE_RATIO <= size <= _MAX_AMPLITUDE_RATIO:
            return [
                f"The data are {size:.2g} times as strong as those that the network was trained on, contrasts of "
                f"{self.contrast[0]:.2g} to {self.contrast[1]:.2g}: its images are not reliable; try --method tikhonov."
            ]
        return []

    def predict(self, measured: FarFieldData, device: str, precision: str) -> npt.NDArray[np.float32]:
        """(S, angles, rings) contrast.

        Raises:
            InputError: see `check`.
        """
        self.check(measured)
        fabric = SingleDevice(device, precision)
        network = fabric.setup(self.network).eval()
        inputs = torch.from_numpy(bcrnet_input(measured) / np.float32(self.normalization.data))
        with torch.no_grad():
            images = [network(part.to(fabric.device))[0].cpu().numpy() for part in torch.split(inputs, _BATCH)]
        return np.concatenate(images) * np.float32(self.normalization.contrast)


def write_model(folder: Path, model: Model, training_data: str, figures: Mapping[str, float]) -> Bundle:
    """Write a model bundle.

    Args:
        folder: is created.
        model: what to write.
        training_data: description of the training data.
        figures: mean scores of the test objects, for the README.
    """
    architecture = model.network.architecture
    valid = (
        f"Far fields of full circles at k = {model.k:g} (wave number times radius of the region), objects inside "
        f"the region with contrasts of {model.contrast[0]:.2g} to {model.contrast[1]:.2g}; no other wave number or "
        "aperture."
    )
    card = Card(
        name="BCR-Net for inverse wave scattering",
        version="0.1.0",
        description="Contrast of an object in the plane from its far field in all directions.",
        valid_for=valid,
        training_data=training_data,
        license="NOASSERTION",
        authorship="The person who trained it",
        task="Inverse wave scattering",
        inputs={
            "far field": {"type": "value", "format": "real and imaginary parts", "num_channels": architecture.inputs},
        },
        outputs={"contrast": {"type": "image", "format": "polar", "num_channels": architecture.rings}},
    )
    readme = describe_network(card, parameter_count(model.network), figures, "bcrnet")
    parameters = {
        "shape": asdict(architecture),
        "k": model.k,
        "aperture": APERTURE,
        "scales": asdict(model.normalization),
        "contrast": list(model.contrast),
        "misfit": model.misfit,
    }
    return write_bundle(folder, card, "scattering", NETWORK, parameters, [model.network.state_dict()], readme)


def describe_network(card: Card, count: int, figures: Mapping[str, float], method: str) -> str:
    """README of the model bundle of a network.

    Args:
        card: of the bundle.
        count: of parameters.
        figures: mean scores of the test objects.
        method: of `scattering reconstruct` that uses it.
    """
    scores = "".join(f"| {name.replace('_', ' ')} | {value:.4g} |\n" for name, value in figures.items())
    return (
        f"# {card.name}\n\n{card.description}\n\nValid for: {card.valid_for}\n\nTrained on: {card.training_data}.\n\n"
        f"{count:,} parameters. Research only, not for diagnosis.\n\n"
        f"| figure of the test objects | mean |\n|---|---|\n{scores}\n"
        f"    python -m deeprecon scattering reconstruct --data F.h5 --method {method} --bundle THIS_FOLDER "
        "--output DIR\n"
    )


def read_model(folder: Path) -> Model:
    """Read a model bundle; the network is on the CPU.

    Raises:
        InputError: not a bundle of this network, or a damaged one.
    """
    bundle = read_bundle(folder, "scattering")
    hint = "Choose another bundle."
    if bundle.network != NETWORK:
        raise InputError(f"{folder} holds a network {bundle.network!r}, not {NETWORK!r}.", hint)
    parameters: dict[str, Any] = bundle.parameters
    if parameters.get("aperture") != APERTURE:
        raise InputError(f"The network in {folder} was trained on the aperture {parameters.get('aperture')!r}.", hint)
    try:
        network = BcrNet(Architecture(**parameters["shape"]))
        (weights,) = load_weights(bundle)
        network.load_state_dict(weights)
        low, high = parameters["contrast"]
        misfit = parameters.get("misfit")
        return Model(
            network,
            Normalization(**parameters["scales"]),
            float(parameters["k"]),
            (float(low), float(high)),
            None if misfit is None else float(misfit),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: card and weights do not fit: {error}.", hint) from error
