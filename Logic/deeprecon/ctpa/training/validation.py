"""Validation of a trained denoiser by samples of held-out cases, and prediction limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from deeprecon.ctpa.autoencoder.network import Autoencoder
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.diffusion.sampling import SamplingPlan, denoise_latent
from deeprecon.ctpa.grid import Grid, to_hu, to_network
from deeprecon.ctpa.measure.metrics import psnr
from deeprecon.ctpa.measure.projection_check import check_projection
from deeprecon.ctpa.training.store import Case
from deeprecon.jobs.run import Run

MAX_CASES = 12
STEPS = 10


def prediction_limit(held_out: Sequence[float]) -> float | None:
    """The upper 99 % prediction limit of one further positive value; None for fewer than three.

    That of Student's t for the logarithms (Hahn and Meeker 1991, Statistical Intervals, section 4.8). The maximum of
    ten held-out cases would be exceeded by every tenth case.
    """
    if (count := len(held_out)) < 3:
        return None
    logarithms = np.log(held_out)
    t = float(stats.t.ppf(0.99, count - 1))
    return float(np.exp(logarithms.mean() + t * logarithms.std(ddof=1) * np.sqrt(1 + 1 / count)))


@dataclass(frozen=True)
class _UnstoppedRun(Run):
    """A run that ignores a graceful stop: without limits a model could not warn of bad results."""

    def should_stop(self) -> bool:
        """False."""
        return False


@torch.no_grad()
def held_out_metrics(
    autoencoder: Autoencoder,
    denoiser: ResidualDenoiser,
    cases: Sequence[Case],
    xrays: Tensor,
    shift: Tensor,
    scale: Tensor,
    grid: Grid,
    run: Run,
) -> tuple[dict[str, float], float | None]:
    """One sample for each of up to `MAX_CASES` cases, decoded at the autoencoder's coarsest resolution.

    A graceful stop does not end it, so that the best model so far is saved with its limits.

    Returns:
        held_out_psnr in dB and held_out_nrmse of the projection check (means), and the prediction limit of the latter.
    """
    unstopped = _UnstoppedRun(run.folder, run.output, run.device, run.threads, run.precision, run.seed, run.reporter)
    coarser = autoencoder.levels - 1
    autoencoder.to(run.device)
    ratios, errors = [], []
    for index, case in enumerate(cases[:MAX_CASES]):
        image = xrays[index, 0].numpy()
        data = denoise_latent(
            denoiser, denoiser.process, image, grid, case.geometry, SamplingPlan(STEPS), run.seed + index, unstopped
        ).latent
        latent = (data * scale + shift)[None].to(run.device)
        hu = to_hu(autoencoder.decode(latent, coarser)[0, 0].float().cpu().numpy())
        k, j, i = hu.shape
        pixels = torch.from_numpy(case.covered()).float()
        covered = (torch.nn.functional.adaptive_avg_pool2d(pixels[None], image.shape)[0] > 0.5).numpy()
        errors.append(check_projection(hu, image, Grid((k, j, i), grid.field), case.geometry, covered).nrmse)
        truth = torch.from_numpy(to_network(case.volume()))[None, None]
        true = to_hu(torch.nn.functional.adaptive_avg_pool3d(truth, hu.shape)[0, 0].numpy())
        known = case.known((k, j, i))
        ratios.append(psnr(hu, true, None if known.all() else known))
        run.reporter.progress((index + 1) / min(len(cases), MAX_CASES))
    return {"held_out_psnr": float(np.mean(ratios)), "held_out_nrmse": float(np.mean(errors))}, prediction_limit(errors)
