"""The verb `train`: read pairs, hold some out, train a network, write a model bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deeprecon.data.diffusion.scan import DwiScan, with_finite_values
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.tables import write_table
from deeprecon.dwmri.networks.architectures import count_parameters
from deeprecon.dwmri.networks.resolution import upsample_maps, upsample_scan
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.observe.noise import measure_noise
from deeprecon.dwmri.parameters import TrainInputs, TrainParameters
from deeprecon.dwmri.read.masks import read_mask
from deeprecon.dwmri.read.scans import load_scan
from deeprecon.dwmri.training.optimization import train_network
from deeprecon.dwmri.training.pairs import Pair, hold_out, make_pair
from deeprecon.jobs.run import Outcome, Run
from deeprecon.training.bundle import Card, write_bundle


def train_on_pairs(inputs: TrainInputs, parameters: TrainParameters, run: Run) -> Outcome:
    """Train a network on pairs: noisy and clean scans, or coarse and fine ones with voxels of half the size.

    Raises:
        InputError: the scans of a pair do not belong together, the pairs are of two kinds, or a single one is too thin.
    """
    if not inputs.noisy or len(inputs.noisy) != len(inputs.clean):
        raise InputError(
            f"{len(inputs.noisy)} noisy and {len(inputs.clean)} clean scans were given.",
            "Give --noisy and --clean, one of each per pair, in the same order.",
        )
    if inputs.mask and len(inputs.mask) != len(inputs.noisy):
        raise InputError(f"{len(inputs.mask)} masks for {len(inputs.noisy)} pairs.", "Give one per pair, or none.")
    pairs, scale = _read_pairs(inputs, run)
    split = hold_out(pairs, run.seed)
    run.reporter.status(f"Training the network; held out: {split.description}")
    on_gpu = run.device.startswith("cuda")
    network, results = train_network(split, replace(parameters, compile=parameters.compile and on_gpu), run)
    metrics = {
        "network_parameters": count_parameters(network),
        "pairs": len(pairs),
        "scale": scale,
        "held_out": split.description,
        "held_out_loss": results[-1].best,
        "best_epoch": results[-1].best_epoch,
    }
    outputs = {"bundle": run.output / "bundle", "history": run.output / "history.csv"}
    write_table(outputs["history"], [{"stage": n, **row} for n, done in enumerate(results) for row in done.history])
    names = ", ".join(f"{path.name} (SHA-256 {sha256(path)})" for path in inputs.noisy if path.is_file())
    data = f"{names}; held out: {split.description}; {parameters.steps} steps, seed {run.seed}"
    name, built_with = parameters.network.value, {"width": parameters.width, "scale": scale}
    card = _card(name, scale, data)
    write_bundle(outputs["bundle"], card, "dwmri", name, built_with, [network.state_dict()], _readme(card))
    return Outcome(outputs, metrics)


def _read_pairs(inputs: TrainInputs, run: Run) -> tuple[list[Pair], int]:
    """The pairs with their masks and noise, and their scale, see `_scale`.

    Raises:
        InputError: see `train_on_pairs`.
    """
    pairs: list[Pair] = []
    scales = set()
    for number, (noisy_path, clean_path) in enumerate(zip(inputs.noisy, inputs.clean, strict=True)):
        run.reporter.status(f"Reading pair {number + 1} of {len(inputs.noisy)}")
        noisy, _ = with_finite_values(load_scan(noisy_path, run))
        clean, _ = with_finite_values(load_scan(clean_path, run))
        mask = read_mask(inputs.mask[number], noisy, run) if inputs.mask else find_mask(noisy)
        sigma, doubts = measure_noise(noisy, mask, not noisy.signed, run)
        run.consider(doubts)
        scale = _scale(noisy, clean)
        if scale == 2:
            noisy = upsample_scan(noisy)
            mask, sigma = upsample_maps(mask, sigma)
        scales.add(scale)
        head = str(clean_path.resolve())
        pairs.append(make_pair(noisy, clean.array.astype(np.float32), mask, sigma, head, run.device))
    if len(scales) > 1:
        raise InputError("Some pairs are of the same grid and some of half the voxel size.", "Train on one kind.")
    return pairs, scales.pop()


def _scale(noisy: DwiScan, clean: DwiScan) -> int:
    """1 for pairs of the same grid, 2 where the clean scan has voxels of half the size.

    Raises:
        InputError: neither, or other gradients.
    """
    if len(noisy.gradients) != len(clean.gradients) or not (
        np.allclose(noisy.gradients.bvals, clean.gradients.bvals, atol=1)
        and np.allclose(noisy.gradients.weighted_directions, clean.gradients.weighted_directions, atol=0.01)
    ):
        raise InputError(f"{noisy.name} and {clean.name} do not have the same gradients.", "Give scans of one pair.")
    for scale, scan in ((1, noisy), (2, replace(upsample_scan(noisy), name=noisy.name))):
        if scan.array.shape == clean.array.shape and np.allclose(scan.ijk_to_ras, clean.ijk_to_ras, atol=0.05):
            return scale
    raise InputError(
        f"{noisy.name} and {clean.name} do not cover the same space with the same or with half the voxel size.",
        "Resample the clean scan to the grid of the noisy one, or to half of its voxel size.",
    )


def _card(network: str, scale: int, data: str) -> Card:
    what = "denoises" if scale == 1 else "interpolates to half the voxel size"
    return Card(
        name=f"Diffusion scans, {network}",
        version="1.0.0",
        description=f"A {network} network that {what} diffusion scans, volume by volume, from it and its neighbors.",
        valid_for="Scans like those that it was trained on: scanner, protocol, b-values and noise; nothing else.",
        training_data=data,
        license="NOASSERTION",
        authorship="The person who trained it",
        task="Diffusion MRI " + ("denoising" if scale == 1 else "interpolation"),
        inputs={"volume": {"type": "image", "format": "magnitude", "num_channels": 5}},
        outputs={"volume": {"type": "image", "format": "magnitude", "num_channels": 1}},
    )


def _readme(card: Card) -> str:
    return (
        f"# {card.name}\n\n{card.description}\n\nValid for: {card.valid_for}\n\nTrained on: {card.training_data}.\n\n"
        "Research only, not for diagnosis.\n\n"
        "    python -m deeprecon dwmri enhance --bundle THIS_FOLDER --dwi scan.nii.gz --output DIR\n"
    )
