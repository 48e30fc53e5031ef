"""Trained models of X-ray to CT: what a bundle holds, and how it is loaded.

A bundle of `ctpa-autoencoder` holds an autoencoder; one of `ctpa` holds it again, to be complete, with a denoiser.
Weights in the bundle are the autoencoder's own; latents become data of unit variance by `Model.to_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.ctpa.autoencoder.network import Autoencoder, AutoencoderShape, encode_tiled
from deeprecon.ctpa.diffusion.denoiser import DenoiserShape
from deeprecon.ctpa.diffusion.posterior_mean import Expectation, ExpectationShape
from deeprecon.ctpa.diffusion.processes import PROCESSES, Process
from deeprecon.ctpa.diffusion.residual import ExpectingDenoiser
from deeprecon.ctpa.diffusion.sampling import DTYPES
from deeprecon.ctpa.encoders.pretrained import make_encoder
from deeprecon.ctpa.grid import Hu
from deeprecon.ctpa.measure.quality import Thresholds
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.training.store import geometry_from_json
from deeprecon.data.errors import InputError
from deeprecon.training.bundle import Bundle, load_weights, read_bundle

METHOD, AUTOENCODER_METHOD = "ctpa", "ctpa-autoencoder"
TILE = 16
"""Latent voxels of a tile along each axis, when a volume is encoded."""


@dataclass(frozen=True, eq=False)
class Model:
    """What a CT is synthesized with, in evaluation mode.

    Attributes:
        autoencoder, denoiser: on the device.
        process: that the denoiser was trained with.
        latent_shift, latent_scale: (channels, 1, 1, 1); latent = scale * data + shift.
        geometries: of the X-rays that it was trained on, each once.
        thresholds: what 99 of 100 held-out cases stay below; None where there were none.
        usual_mean, usual_deviation: of the embeddings of the X-rays that it was trained on.
        phantoms: every case was a phantom.
        bundle: where it came from.
    """

    autoencoder: Autoencoder
    denoiser: ExpectingDenoiser
    process: Process
    latent_shift: Tensor
    latent_scale: Tensor
    geometries: tuple[Geometry, ...]
    thresholds: Thresholds | None
    usual_mean: Tensor
    usual_deviation: Tensor
    phantoms: bool
    bundle: Bundle

    def to_latent(self, data: Tensor) -> Tensor:
        """What the denoiser draws, as the autoencoder's latent (batch, channels, k, j, i)."""
        return data * self.latent_scale + self.latent_shift

    def to_data(self, latent: Tensor) -> Tensor:
        """The autoencoder's latent with unit variance."""
        return (latent - self.latent_shift) / self.latent_scale

    def distance(self, xray: Tensor) -> float:
        """How far an X-ray (1, 1, rows, columns) is from the usual ones: about 1 for one of them."""
        found = self.denoiser.expectation.embedding(xray)[0]
        return embedding_distance(found, self.usual_mean, self.usual_deviation)


def embedding_distance(found: Tensor, mean: Tensor, deviation: Tensor) -> float:
    """Root mean square of the deviations from the mean, each in units of the standard deviation."""
    return float(((found - mean) / deviation).square().mean().sqrt())


def load_autoencoder(bundle: Bundle, device: str) -> Autoencoder:
    """The autoencoder of either kind of bundle.

    Raises:
        InputError: card and weights do not fit.
    """
    model: Autoencoder = _loaded(bundle, device, {"autoencoder": _make_autoencoder})["autoencoder"]
    return model


def load_model(bundle: Bundle, device: str) -> Model:
    """All of a bundle of `train-diffusion`.

    Raises:
        InputError: card and weights do not fit.
    """
    parts = _loaded(bundle, device, {"autoencoder": _make_autoencoder, "denoiser": _make_denoiser})
    card = bundle.parameters
    try:
        statistics = {
            name: torch.tensor([float(value) for value in card[name]], device=device)
            for name in ("latent_mean", "latent_std", "usual_mean", "usual_deviation")
        }
        limits = card["thresholds"]
        return Model(
            autoencoder=parts["autoencoder"],
            denoiser=parts["denoiser"],
            process=PROCESSES[card["process"]],
            latent_shift=statistics["latent_mean"].view(-1, 1, 1, 1),
            latent_scale=statistics["latent_std"].view(-1, 1, 1, 1),
            geometries=tuple(map(geometry_from_json, card["geometries"])),
            thresholds=None if limits is None else Thresholds(float(limits["nrmse"]), float(limits["distance"])),
            usual_mean=statistics["usual_mean"],
            usual_deviation=statistics["usual_deviation"],
            phantoms=bool(card["phantoms"]),
            bundle=bundle,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unfit(bundle, error) from error


def load_encoder(
    folder: Path, device: str, precision: str, coarser: int
) -> tuple[Callable[[Hu], npt.NDArray[np.float32]], str]:
    """What makes a latent of HU, for preparing a store; and the checksum of its bundle.

    Args:
        folder: bundle of `train-autoencoder`.
        device, precision: to encode on and in.
        coarser: 0 for volumes of the full preset, 1 for those of the preview.

    Raises:
        InputError: no such bundle, or one that was not trained on volumes of the preset.
    """
    bundle = read_bundle(folder, AUTOENCODER_METHOD)
    preset = "preview" if coarser else "full"
    if preset not in bundle.parameters.get("presets", []):
        raise InputError(
            f"The autoencoder in {folder} was not trained on volumes of the preset {preset}.",
            "Choose another bundle, or another --preset.",
        )
    model = load_autoencoder(bundle, device).to(DTYPES[precision])

    def encode(hu: Hu) -> npt.NDArray[np.float32]:
        latent: npt.NDArray[np.float32] = encode_tiled(model, hu, (TILE, TILE, TILE), coarser).float().cpu().numpy()
        return latent

    return encode, bundle.sha256


@torch.no_grad()
def round_to_half(module: nn.Module) -> None:
    """Round the numbers of a module to half precision, in which `half_state` keeps them, and leave them in single."""
    for values in (*module.parameters(), *module.buffers()):
        if values.is_floating_point():
            values.copy_(values.half())


def half_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module in half precision: half as large, and as good for networks that draw in bf16."""
    return {name: value.half() if value.is_floating_point() else value for name, value in module.state_dict().items()}


def autoencoder_card(model: Autoencoder) -> dict[str, Any]:
    """What `load_autoencoder` builds it with, as JSON values."""
    return asdict(model.shape)


def denoiser_card(model: ExpectingDenoiser, xray_encoder: str) -> dict[str, Any]:
    """What `load_model` builds it with, as JSON values.

    Args:
        model: see there.
        xray_encoder: value of `EncoderName`.
    """
    return {**asdict(model.shape), "factor": model.factor, "xray_encoder": xray_encoder}


def _make_autoencoder(card: Mapping[str, Any]) -> Autoencoder:
    return Autoencoder(AutoencoderShape(**_tuples(card["autoencoder"])))


def _make_denoiser(card: Mapping[str, Any]) -> ExpectingDenoiser:
    values = _tuples(card["denoiser"])
    factor, name = int(values.pop("factor")), str(values.pop("xray_encoder"))
    shape = DenoiserShape(**values)
    expectation = Expectation(ExpectationShape(**_tuples(card["expectation"])))
    encoder = make_encoder(name, shape.features, factor)
    return ExpectingDenoiser(shape, factor, expectation, PROCESSES[card["process"]], encoder)


def _loaded(bundle: Bundle, device: str, makers: Mapping[str, Callable[[Mapping[str, Any]], Any]]) -> dict[str, Any]:
    states = {path.stem: state for path, state in zip(bundle.weights, load_weights(bundle), strict=True)}
    parts: dict[str, Any] = {}
    try:
        for name, make in makers.items():
            part = make(bundle.parameters)
            part.load_state_dict(states[name])
            parts[name] = part.to(device).eval().requires_grad_(False)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unfit(bundle, error) from error
    return parts


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _unfit(bundle: Bundle, error: Exception) -> InputError:
    return InputError(f"{bundle.folder}: card and weights do not fit: {error}.", "Choose another bundle.")
