"""A tiny untrained model and an X-ray that it can read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from deeprecon.ctpa.autoencoder.network import Autoencoder, AutoencoderShape
from deeprecon.ctpa.diffusion.denoiser import DenoiserShape
from deeprecon.ctpa.diffusion.model import METHOD, autoencoder_card, denoiser_card
from deeprecon.ctpa.diffusion.posterior_mean import PosteriorMean, PosteriorMeanShape
from deeprecon.ctpa.diffusion.processes import PROCESSES
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.grid import FIELD, Grid
from deeprecon.ctpa.observe.projection import Geometry, expose, line_integrals
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.simulate.files import write_xray
from deeprecon.training.bundle import Card, write_bundle

LATENT = Grid((14, 12, 12))
FINE = Grid((56, 48, 48))
"""Of the preview; the full volume has twice as many voxels along each axis."""


def make_bundle(folder: Path, method: str = METHOD, **changes: object) -> Path:
    """An untrained model without layers of zeros."""
    torch.manual_seed(1)
    autoencoder = Autoencoder(AutoencoderShape((2, 4, 4, 8), 3))
    expected = PosteriorMeanShape((28, 24), 5, 3, (14, 12, 12), (7, 6, 6), 4, 8)
    process = "rectified-flow"
    denoiser = ResidualDenoiser(DenoiserShape(3, (4, 8), 1, 4), 4, PosteriorMean(expected), PROCESSES[process])
    with torch.no_grad():
        for model in (autoencoder, denoiser):
            for values in (*model.parameters(), *model.buffers()):
                if not values.any():
                    values.normal_(0, 0.1)
    usual = denoiser.posterior_mean.embedding(torch.randn(1, 1, 56, 48))[0]
    parameters = {
        "autoencoder": autoencoder_card(autoencoder),
        "denoiser": denoiser_card(denoiser, "spatial"),
        "posterior_mean": asdict(expected),
        "process": process,
        "latent_mean": [0.0, 0.1, -0.1],
        "latent_std": [1.0, 2.0, 0.5],
        "usual_mean": usual.tolist(),
        "usual_deviation": [1.0] * len(usual),
        "geometries": [{"beam": "cone", "view": "PA", "source_distance": 1800.0, "middle_distance": 200.0}],
        "phantoms": True,
        "thresholds": {"nrmse": 0.3, "distance": 50.0},
        "latent_grid": {"shape": list(LATENT.shape), "field": list(FIELD)},
        "presets": ["preview", "full"],
    } | changes
    words = dict.fromkeys(("description", "valid_for", "training_data", "authorship", "task"), "a test")
    card = Card(name="Tiny", version="1.0.0", license="Apache-2.0", inputs={}, outputs={}, **words)
    states = {"autoencoder": autoencoder.state_dict(), "denoiser": denoiser.state_dict()}
    write_bundle(folder, card, method, "tiny", parameters, states, "# a test\n")
    return folder


def make_xray(path: Path) -> Path:
    """A film of a phantom."""
    grid = Grid((96, 32, 80))
    integrals = line_integrals(draw_grid(make_anatomy(3), grid)[0], grid, Geometry())
    write_xray(path, expose(integrals, np.random.default_rng(0)), grid, Geometry())
    return path
