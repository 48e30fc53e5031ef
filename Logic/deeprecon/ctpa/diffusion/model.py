"""Trained models and their bundles.

A bundle of `ctpa-autoencoder` holds an autoencoder; one of `ctpa` holds a copy of it and a denoiser.
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

from deeprecon.ctpa.autoencoder.network import Autoencoder, AutoencoderShape
from deeprecon.ctpa.autoencoder.tiling import encode_tiled
from deeprecon.ctpa.diffusion.denoiser import DenoiserShape
from deeprecon.ctpa.diffusion.posterior_mean import PosteriorMean, PosteriorMeanShape
from deeprecon.ctpa.diffusion.processes import PROCESSES, Process
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.diffusion.sampling import DTYPES
from deeprecon.ctpa.diffusion.thresholds import Thresholds
from deeprecon.ctpa.encoders.pretrained import make_encoder
from deeprecon.ctpa.grid import Grid, Hu
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.data.errors import InputError
from deeprecon.training.bundle import Bundle, load_weights, read_bundle

METHOD, AUTOENCODER_METHOD = "ctpa", "ctpa-autoencoder"
OLD_NAME = "expectation"
"""Of the posterior mean in the cards and weights of earlier bundles."""
TILE = 16
"""Latent voxels of a tile along each axis, when a volume is encoded."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model, in evaluation mode.

    Attributes:
        autoencoder, denoiser: on the device.
        process: of the denoiser.
        latent_shift, latent_scale: (channels, 1, 1, 1); latent = scale * data + shift.
        geometries: of the training X-rays, each once.
        thresholds: see `Thresholds`; None where there were too few held-out cases.
        embedding_mean, embedding_std: of the training X-rays.
        phantoms: all training cases were phantoms.
        bundle: that it was loaded from.
    """

    autoencoder: Autoencoder
    denoiser: ResidualDenoiser
    process: Process
    latent_shift: Tensor
    latent_scale: Tensor
    geometries: tuple[Geometry, ...]
    thresholds: Thresholds | None
    embedding_mean: Tensor
    embedding_std: Tensor
    phantoms: bool
    bundle: Bundle

    def to_latent(self, data: Tensor) -> Tensor:
        """The autoencoder's latent (batch, channels, k, j, i) of standardized data."""
        return data * self.latent_scale + self.latent_shift

    def to_data(self, latent: Tensor) -> Tensor:
        """Standardized data, of unit variance, of the autoencoder's latent."""
        return (latent - self.latent_shift) / self.latent_scale

    def distance(self, xray: Tensor) -> float:
        """Distance of an X-ray (1, 1, rows, columns) from those of the training, which are at about 1.

        The root mean square of its embedding's deviations from their mean, in units of their standard deviation.
        """
        embedding = self.denoiser.posterior_mean.embedding(xray)[0]
        return float(((embedding - self.embedding_mean) / self.embedding_std).square().mean().sqrt())


def load_autoencoder(bundle: Bundle, device: str) -> Autoencoder:
    """The autoencoder of either kind of bundle.

    Raises:
        InputError: card and weights do not fit.
    """
    model: Autoencoder = _loaded(bundle, device, {"autoencoder": _make_autoencoder})["autoencoder"]
    return model


def load_model(bundle: Bundle, device: str) -> Model:
    """The model of a bundle of `train-diffusion`.

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
            geometries=tuple(map(Geometry.from_json, card["geometries"])),
            thresholds=None if limits is None else Thresholds(float(limits["nrmse"]), float(limits["distance"])),
            embedding_mean=statistics["usual_mean"],
            embedding_std=statistics["usual_deviation"],
            phantoms=bool(card["phantoms"]),
            bundle=bundle,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unfit(bundle, error) from error


def latent_grid(card: Mapping[str, Any]) -> Grid:
    """The grid of the latents, from `Bundle.parameters`."""
    entry = card["latent_grid"]
    k, j, i = (int(count) for count in entry["shape"])
    x, y, z = (float(size) for size in entry["field"])
    return Grid((k, j, i), (x, y, z))


def load_encoder(
    folder: Path, device: str, precision: str, coarser: int
) -> tuple[Callable[[Hu], npt.NDArray[np.float32]], str]:
    """A function from HU to latents, for preparing a store; and the checksum of its bundle.

    Args:
        folder: bundle of `train-autoencoder`.
        device, precision: of the encoding.
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
    """Round the weights to fp16, in which `half_state` saves them, and keep them in fp32."""
    for values in (*module.parameters(), *module.buffers()):
        if values.is_floating_point():
            values.copy_(values.half())


def half_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module in fp16."""
    return {name: value.half() if value.is_floating_point() else value for name, value in module.state_dict().items()}


def autoencoder_card(model: Autoencoder) -> dict[str, Any]:
    """Its hyperparameters for the bundle's card, as JSON values."""
    return asdict(model.shape)


def denoiser_card(model: ResidualDenoiser, xray_encoder: str) -> dict[str, Any]:
    """Its hyperparameters for the bundle's card, as JSON values.

    Args:
        model: see there.
        xray_encoder: value of `EncoderName`.
    """
    return {**asdict(model.shape), "factor": model.factor, "xray_encoder": xray_encoder}


def _make_autoencoder(card: Mapping[str, Any]) -> Autoencoder:
    return Autoencoder(AutoencoderShape(**_tuples(card["autoencoder"])))


def _make_denoiser(card: Mapping[str, Any]) -> ResidualDenoiser:
    values = _tuples(card["denoiser"])
    factor, name = int(values.pop("factor")), str(values.pop("xray_encoder"))
    shape = DenoiserShape(**values)
    posterior_mean = PosteriorMean(PosteriorMeanShape(**_tuples(card.get("posterior_mean", card.get(OLD_NAME)))))
    encoder = make_encoder(name, shape.features, factor)
    return ResidualDenoiser(shape, factor, posterior_mean, PROCESSES[card["process"]], encoder)


def _loaded(bundle: Bundle, device: str, makers: Mapping[str, Callable[[Mapping[str, Any]], Any]]) -> dict[str, Any]:
    states = {path.stem: state for path, state in zip(bundle.weights, load_weights(bundle), strict=True)}
    parts: dict[str, Any] = {}
    try:
        for name, make in makers.items():
            part = make(bundle.parameters)
            part.load_state_dict({_current(key): value for key, value in states[name].items()})
            parts[name] = part.to(device).eval().requires_grad_(False)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unfit(bundle, error) from error
    return parts


def _current(key: str) -> str:
    """A key of a state under its current name."""
    return key.replace(f"{OLD_NAME}.", "posterior_mean.", 1) if key.startswith(f"{OLD_NAME}.") else key


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _unfit(bundle: Bundle, error: Exception) -> InputError:
    return InputError(f"{bundle.folder}: card and weights do not fit: {error}.", "Choose another bundle.")
