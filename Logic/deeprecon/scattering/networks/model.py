"""A trained network as a model bundle, and its use on data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deeprecon.data.errors import InputError
from deeprecon.scattering.networks.bcrnet import BcrNet, Shape, parameter_count
from deeprecon.scattering.read.measurements import Measurements
from deeprecon.scattering.training.fitting import Scales, read_channels
from deeprecon.training.bundle import Bundle, Card, load_weights, read_bundle, write_bundle
from deeprecon.training.fabric import SingleDevice

NETWORK = "bcrnet"
"""Name of the network on a bundle's card."""
APERTURE = "full circle"
_BATCH = 64
_SAME_K = 1e-3
"""Relative difference up to which two wave numbers are one."""
_UNLIKE = 4.0
"""By how much data may be stronger or weaker than those of the training before the user is told."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network and what it is valid for.

    Attributes:
        network: BCR-Net.
        scales: of data and contrast.
        k: wave number times radius, the only one it knows.
        contrast: smallest and largest that it was trained on.
    """

    network: BcrNet
    scales: Scales
    k: float
    contrast: tuple[float, float]

    def doubts(self, measured: Measurements) -> list[str]:
        """What the user should know about these data, in words.

        Raises:
            InputError: the network is not valid for them: another wave number or number of directions.
        """
        if abs(measured.k - self.k) > _SAME_K * self.k:
            raise InputError(
                f"The network was trained for k = {self.k:g} (wave number times radius), {measured.name} has "
                f"{measured.k:g}.",
                "Train one for these data, or use --method tikhonov.",
            )
        if measured.angles != self.network.shape.angles:
            raise InputError(
                f"The network was trained on {self.network.shape.angles} directions, {measured.name} has "
                f"{measured.angles}.",
                "Resample the data first (scattering prepare --angles).",
            )
        size = float(np.sqrt((read_channels(measured) ** 2).mean())) / self.scales.data
        if not 1 / _UNLIKE <= size <= _UNLIKE:
            return [
                f"The data are {size:.2g} times as strong as those that the network was trained on, contrasts of "
                f"{self.contrast[0]:.2g} to {self.contrast[1]:.2g}: do not trust its images; try --method tikhonov."
            ]
        return []

    def predict(self, measured: Measurements, device: str, precision: str) -> npt.NDArray[np.float32]:
        """(S, angles, rings) contrast.

        Raises:
            InputError: see `doubts`.
        """
        self.doubts(measured)
        fabric = SingleDevice(device, precision)
        network = fabric.setup(self.network).eval()
        inputs = torch.from_numpy(read_channels(measured) / np.float32(self.scales.data))
        found = []
        with torch.no_grad():
            for part in torch.split(inputs, _BATCH):
                found.append(network(part.to(fabric.device))[0].cpu().numpy())
        return np.concatenate(found) * np.float32(self.scales.contrast)


def write_model(folder: Path, model: Model, training_data: str, figures: Mapping[str, float]) -> Bundle:
    """Write a model bundle.

    Args:
        folder: to be made.
        model: trained.
        training_data: what it was trained on, in words.
        figures: of the test, for the card's readers.
    """
    shape = model.network.shape
    valid = (
        f"Far fields of full circles at k = {model.k:g} (wave number times radius of the region), objects inside of "
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
            "far field": {"type": "value", "format": "real and imaginary parts", "num_channels": shape.inputs},
        },
        outputs={"contrast": {"type": "image", "format": "polar", "num_channels": shape.rings}},
    )
    scores = "".join(f"| {name.replace('_', ' ')} | {value:.4g} |\n" for name, value in figures.items())
    readme = (
        f"# {card.name}\n\n{card.description}\n\nValid for: {valid}\n\nTrained on: {training_data}.\n\n"
        f"{parameter_count(model.network):,} parameters. Research only, not for diagnosis.\n\n"
        f"| figure of the test objects | mean |\n|---|---|\n{scores}\n"
        "    python -m deeprecon scattering reconstruct --data F.h5 --method bcrnet --bundle THIS_FOLDER --output DIR\n"
    )
    parameters = {
        "shape": asdict(shape),
        "k": model.k,
        "aperture": APERTURE,
        "scales": asdict(model.scales),
        "contrast": list(model.contrast),
    }
    return write_bundle(folder, card, "scattering", NETWORK, parameters, [model.network.state_dict()], readme)


def read_model(folder: Path) -> Model:
    """A network out of a bundle, on the CPU.

    Raises:
        InputError: no bundle of this network, or a damaged one.
    """
    bundle = read_bundle(folder, "scattering")
    hint = "Choose another bundle."
    if bundle.network != NETWORK:
        raise InputError(f"{folder} holds a network {bundle.network!r}, not {NETWORK!r}.", hint)
    known: dict[str, Any] = bundle.parameters
    if known.get("aperture") != APERTURE:
        raise InputError(f"The network in {folder} was trained on the aperture {known.get('aperture')!r}.", hint)
    try:
        network = BcrNet(Shape(**known["shape"]))
        (weights,) = load_weights(bundle)
        network.load_state_dict(weights)
        low, high = known["contrast"]
        return Model(network, Scales(**known["scales"]), float(known["k"]), (float(low), float(high)))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: card and weights do not fit: {error}.", hint) from error
