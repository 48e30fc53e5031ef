"""Inversion of measured fields by a network, in two and three dimensions, and its model bundle.

The network, MNN-H2, adds to an image of the Born approximation what it lacks. It is valid for one arrangement of
sources and receivers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.scattering.fit.full_wave import MIN_CONTRAST, Measured
from deeprecon.scattering.fit.network import describe_network
from deeprecon.scattering.networks.bcrnet import parameter_count
from deeprecon.scattering.networks.mnn import MnnH2
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.scattered_fields import ScatteredFields
from deeprecon.training.bundle import Bundle, Card, load_weights, read_bundle, write_bundle

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[Any]

NETWORK = "mnn-h2"
"""Name of the network in the metadata of a bundle."""
_TOLERANCE = 1e-3
"""Largest relative difference of equal frequencies and regions."""
_STEPS = 8
"""Of conjugate gradients."""
_DIGITS = 6
"""Of positions in m, where arrangements are compared."""


@dataclass(frozen=True)
class FieldArchitecture:
    """Hyperparameters of a `FieldNetwork`.

    Attributes:
        dim: 2 or 3.
        n: pixels along a side, divisible by 2^levels.
        levels: scales, at least 2.
        rank: channels on each scale.
        kernels: on each scale.
    """

    dim: int
    n: int
    levels: int
    rank: int
    kernels: int


class FieldNetwork(nn.Module):
    """(B, n, ...) images of the Born approximation to (B, n, ...) contrast, both in units of the training data.

    Raises:
        ValueError: there is no such network.
    """

    def __init__(self, architecture: FieldArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.correction = MnnH2(
            architecture.dim, architecture.n, architecture.levels, architecture.rank, architecture.kernels
        )

    def forward(self, image: Tensor) -> Tensor:
        corrected: Tensor = image + self.correction(image[:, None])[:, 0]
        return corrected


def born_image(bands: Sequence[Measured]) -> npt.NDArray[np.float64]:
    """Real contrast that explains the data in the Born approximation, by a few steps of conjugate gradients (CGLS).

    Stopping early regularizes (Hansen 1998, Rank-deficient and discrete ill-posed problems, chapter 6). All frequencies
    count alike.
    """
    weights = [1 / max(float(np.linalg.norm(band.data[band.used])), 1e-300) for band in bands]

    def forward(image: Floats) -> list[Complex]:
        return [w * np.where(b.used, b.model.born(image), 0) for w, b in zip(weights, bands, strict=True)]

    def adjoint(fields: Sequence[Complex]) -> npt.NDArray[np.float64]:
        parts = zip(weights, bands, fields, strict=True)
        return np.asarray(sum(w * b.model.born_adjoint(field).real for w, b, field in parts))

    rest = [w * np.where(b.used, b.data, 0) for w, b in zip(weights, bands, strict=True)]
    image, gradient = np.zeros(bands[0].model.region.shape), adjoint(rest)
    direction, size = gradient, float((gradient**2).sum())
    for _ in range(_STEPS):
        predicted = forward(direction)
        power = sum(float((np.abs(field) ** 2).sum()) for field in predicted)
        if not power:
            break
        step = size / power
        image = image + step * direction
        rest = [field - step * part for field, part in zip(rest, predicted, strict=True)]
        gradient, before = adjoint(rest), size
        size = float((gradient**2).sum())
        direction = gradient + size / before * direction
    return image


@dataclass(frozen=True, eq=False)
class FieldModel:
    """A trained network and its range of validity.

    Attributes:
        network: on the CPU.
        scale: contrast that is 1 for the network.
        region: of the images.
        frequencies: in Hz, ascending.
        arrangement: checksum of the sources and receivers; see `arrangement_checksum`.
        contrast: smallest and largest of the training data.
    """

    network: FieldNetwork
    scale: float
    region: Region
    frequencies: tuple[float, ...]
    arrangement: str
    contrast: tuple[float, float]

    def select(self, fields: ScatteredFields) -> ScatteredFields:
        """The fields at the network's frequencies.

        Raises:
            InputError: another arrangement or region, or a frequency that was not measured.
        """
        hint = "Train a network for these data, or use --method fullwave."
        if arrangement_checksum(fields.arrangement) != self.arrangement:
            raise InputError(
                f"The network was trained for other sources and receivers than those of {fields.name}.", hint
            )
        moved = fields.center is not None and np.abs(fields.center - self.region.center).max() > (
            _TOLERANCE * self.region.side
        )
        resized = fields.side is not None and abs(fields.side - self.region.side) > _TOLERANCE * self.region.side
        if moved or resized:
            raise InputError(f"The network was trained for another region than that of {fields.name}.", hint)
        bands = []
        for frequency in self.frequencies:
            near = [band for band in fields.bands if abs(band.frequency - frequency) <= _TOLERANCE * frequency]
            if not near:
                raise InputError(f"{fields.name} has no fields at {frequency:g} Hz, which the network needs.", hint)
            bands.append(near[0])
        return fields.with_bands(tuple(bands))

    def predict(self, bands: Sequence[Measured], device: str) -> npt.NDArray[np.float64]:
        """Contrast, `region.shape`."""
        image = torch.from_numpy(born_image(bands).astype(np.float32) / np.float32(self.scale))
        network = self.network.to(device).eval()
        with torch.no_grad():
            found = network(image[None].to(device))[0].cpu().numpy()
        return np.asarray(np.maximum(found.astype(np.float64) * self.scale, MIN_CONTRAST))


def arrangement_checksum(arrangement: Arrangement) -> str:
    """SHA-256 of the positions or directions and their kinds; positions that differ by less than 1 um are equal."""
    digest = hashlib.sha256(json.dumps([arrangement.plane_waves, arrangement.far_field]).encode())
    for vectors in (arrangement.source, arrangement.receiver):
        digest.update(np.ascontiguousarray(np.asarray(vectors, np.float64).round(_DIGITS) + 0.0).tobytes())
    return digest.hexdigest()


def write_field_model(folder: Path, model: FieldModel, training_data: str, figures: Mapping[str, float]) -> Bundle:
    """Write a model bundle; see `network.write_model`."""
    low, high = model.contrast
    side = 1e3 * model.region.side
    valid = (
        f"Fields of one arrangement of sources and receivers at {', '.join(f'{f:g}' for f in model.frequencies)} Hz, "
        f"objects in a region of {side:.4g} mm with contrasts of {low:.2g} to {high:.2g}; no other arrangement."
    )
    shape = [model.region.n] * model.region.dimension
    card = Card(
        name="MNN-H2 for measured fields",
        version="0.1.0",
        description="Contrast of an object from the fields that it scatters.",
        valid_for=valid,
        training_data=training_data,
        license="NOASSERTION",
        authorship="The person who trained it",
        task="Inverse wave scattering",
        inputs={"image": {"type": "image", "format": "Born approximation", "num_channels": 1, "spatial_shape": shape}},
        outputs={"contrast": {"type": "image", "format": "contrast", "num_channels": 1, "spatial_shape": shape}},
    )
    readme = describe_network(card, parameter_count(model.network), figures, "mnn")
    parameters = {
        "shape": asdict(model.network.architecture),
        "scale": model.scale,
        "center": model.region.center.tolist(),
        "side": model.region.side,
        "frequencies": list(model.frequencies),
        "arrangement": model.arrangement,
        "contrast": list(model.contrast),
    }
    return write_bundle(folder, card, "scattering", NETWORK, parameters, [model.network.state_dict()], readme)


def read_field_model(folder: Path) -> FieldModel:
    """Read a model bundle; the network is on the CPU.

    Raises:
        InputError: not a bundle of this network, or a damaged one.
    """
    bundle = read_bundle(folder, "scattering")
    hint = "Choose another bundle."
    if bundle.network != NETWORK:
        raise InputError(f"{folder} holds a network {bundle.network!r}, not {NETWORK!r}.", hint)
    parameters: dict[str, Any] = bundle.parameters
    try:
        network = FieldNetwork(FieldArchitecture(**parameters["shape"]))
        (weights,) = load_weights(bundle)
        network.load_state_dict(weights)
        low, high = parameters["contrast"]
        center = np.array(parameters["center"], np.float64)
        return FieldModel(
            network,
            float(parameters["scale"]),
            Region(center, float(parameters["side"]), network.architecture.n),
            tuple(float(value) for value in parameters["frequencies"]),
            str(parameters["arrangement"]),
            (float(low), float(high)),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: card and weights do not fit: {error}.", hint) from error
