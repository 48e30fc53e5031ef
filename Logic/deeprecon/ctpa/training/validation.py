"""How a freshly trained denoiser does on held-out cases, and with that from where on a result is to be doubted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deeprecon.ctpa.autoencoder.network import Autoencoder
from deeprecon.ctpa.diffusion.processes import Process
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.diffusion.sampling import SamplingPlan, denoise_latent
from deeprecon.ctpa.grid import Grid, to_hu, to_network
from deeprecon.ctpa.measure.metrics import psnr
from deeprecon.ctpa.measure.quality import check_projection, prediction_limit
from deeprecon.ctpa.training.store import Case
from deeprecon.jobs.run import Run

MAX_CASES = 12
STEPS = 10


@dataclass(frozen=True)
class _UnstoppedRun(Run):
    """A run that goes on to its end after a graceful stop: a model without limits could not warn of bad results."""

    def should_stop(self) -> bool:
        """Never."""
        return False


@torch.no_grad()
def held_out_metrics(
    autoencoder: Autoencoder,
    denoiser: ResidualDenoiser,
    process: Process,
    cases: Sequence[Case],
    xrays: Tensor,
    shift: Tensor,
    scale: Tensor,
    grid: Grid,
    run: Run,
) -> tuple[dict[str, float], float | None]:
    """One sample for each of up to `MAX_CASES` cases, decoded at the autoencoder's coarsest resolution.

    A graceful stop does not end it: what is kept is the best model so far, with its limits.

    Returns:
        held_out_psnr in dB and held_out_nrmse of the projection check (means), and what the latter stays below.
    """
    unstopped = _UnstoppedRun(run.folder, run.output, run.device, run.threads, run.precision, run.seed, run.reporter)
    coarser = autoencoder.levels - 1
    autoencoder.to(run.device)
    found, errors = [], []
    for index, case in enumerate(cases[:MAX_CASES]):
        plan = SamplingPlan(STEPS)
        image = xrays[index, 0].numpy()
        data = denoise_latent(denoiser, process, image, grid, case.geometry, plan, run.seed + index, unstopped).latent
        latent = (data * scale + shift)[None].to(run.device)
        hu = to_hu(autoencoder.decode(latent, coarser)[0, 0].float().cpu().numpy())
        seen = Grid((hu.shape[0], hu.shape[1], hu.shape[2]), grid.field)
        errors.append(check_projection(hu, image, seen, case.geometry).nrmse)
        truth = torch.from_numpy(to_network(case.volume()))[None, None]
        found.append(psnr(hu, to_hu(torch.nn.functional.adaptive_avg_pool3d(truth, hu.shape)[0, 0].numpy())))
        run.reporter.progress((index + 1) / min(len(cases), MAX_CASES))
    return {"held_out_psnr": float(np.mean(found)), "held_out_nrmse": float(np.mean(errors))}, prediction_limit(errors)
