"""Supervised networks from model bundles, applied to a scan."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.dwmri.fit.denoising import Enhancement, smoothed_error
from deeprecon.dwmri.networks.architectures import ARCHITECTURES, build
from deeprecon.dwmri.networks.inputs import network_inputs
from deeprecon.dwmri.networks.resolution import downsample, upsample_maps, upsample_scan
from deeprecon.dwmri.simulate.repeats import simulate_repeat
from deeprecon.jobs.run import Run
from deeprecon.training.bundle import Bundle, load_weights
from deeprecon.training.estimate import free_bytes

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

TILE, HALO = 64, 16
"""Edge of a tile, and the margin around it that is input too, in voxels; even, as networks halve the resolution."""
FINER_BYTES, FINER_BASE = 400, 0.5e9
"""Memory that a scan of half the voxel size takes, report included: for each value before, and of the program."""


def denoise_with_network(
    network: nn.Module, scan: DwiScan, mask: Mask, sigma: Floats, scale: int, rician: bool, run: Run
) -> Enhancement:
    """Apply a supervised network to a scan.

    Args:
        network: of a bundle.
        scan: finite.
        mask, sigma: (k, j, i).
        scale: 1, or 2 for a network that refines a scan interpolated to half the voxel size.
        rician: whether the simulated repeat behind the uncertainty has the noise of magnitudes.
        run: device, seed and reporter.

    Raises:
        InputError: too little memory for voxels of half the size.
    """
    base, inside, level = scan, mask, sigma
    if scale == 2:
        _check_memory(scan)
        base = upsample_scan(scan)
        inside, level = upsample_maps(mask, sigma)

    def apply(values: Floats) -> Floats:
        array = upsample_scan(scan.with_array(values)).array if scale == 2 else values
        array = np.asarray(array, np.float32)
        return apply_network(network, array, scan.gradients, base.ijk_to_ras, inside, level, run.device)

    found = apply(scan.array.astype(np.float32))
    run.reporter.progress(0.5)
    coarse = downsample(found) if scale == 2 else found
    repeat = simulate_repeat(coarse / sigma[..., None], rician, (0.0, 0.0, 0.0), np.random.default_rng([run.seed, 1]))
    error = smoothed_error(apply(repeat * sigma[..., None]) - found)
    found[~base.array.any(axis=-1)] = 0
    return Enhancement(base, base.with_array(found), inside, level, np.where(inside, error, 0).astype(np.float32))


def apply_network(
    network: nn.Module,
    array: Floats,
    table: GradientTable,
    ijk_to_ras: npt.NDArray[np.float64],
    mask: Mask,
    sigma: Floats,
    device: str,
) -> Floats:
    """(k, j, i, V) the output of a network for a scan, volume by volume, without negative values.

    Large volumes are computed tile by tile, so that the features fit into memory. Tiles make a difference only for the
    baseline, whose attention depends on the mean of its input.
    """
    network.to(device).eval()
    inputs = network_inputs(array, table, ijk_to_ras, mask, sigma, device)
    result = np.empty_like(array)
    for core, window in tiles(mask.shape):
        inner = tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(core, window, strict=True))
        k, j, i = core
        for volume in range(array.shape[-1]):
            with torch.no_grad():
                found = network(inputs.channels(volume, window)[None], inputs.codes[volume][None])[0, 0][inner]
            result[k, j, i, volume] = (found.clamp_min(0) * inputs.scale).cpu().numpy()
    return result


def tiles(shape: tuple[int, ...]) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Parts of a grid, and the window that is the network's input for each of them.

    The grid is a single part where it has no more voxels than a window.
    """
    everything = tuple(slice(0, count) for count in shape)
    if np.prod(shape) <= (TILE + 2 * HALO) ** 3:
        return [(everything, everything)]
    found = []
    for start in product(*(range(0, count, TILE) for count in shape)):
        core = tuple(slice(a, min(a + TILE, count)) for a, count in zip(start, shape, strict=True))
        window = tuple(
            slice(max(0, part.start - HALO), min(part.stop + HALO, count))
            for part, count in zip(core, shape, strict=True)
        )
        found.append((core, window))
    return found


def read_network(bundle: Bundle) -> nn.Module:
    """The network of a bundle, on the CPU.

    Raises:
        InputError: an unknown network, or weights that do not match.
    """
    if bundle.network not in ARCHITECTURES:
        raise InputError(f"{bundle.folder} holds an unknown network {bundle.network!r}.", "Choose another bundle.")
    try:
        network = build(bundle.network, int(bundle.parameters["width"]))
        (weights,) = load_weights(bundle)
        network.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{bundle.folder}: card and weights do not match: {error}.", "Choose another bundle."
        ) from error
    return network


def bundle_scale(bundle: Bundle) -> int:
    """By how much a bundle's network refines the grid: 1 or 2.

    Raises:
        InputError: the card has another value.
    """
    scale = bundle.parameters.get("scale")
    if scale not in (1, 2):
        raise InputError(
            f"{bundle.folder}: its metadata has scale {scale!r}, expected 1 or 2.", "Choose another bundle."
        )
    return int(scale)


def _check_memory(scan: DwiScan) -> None:
    """Raise InputError where a scan of half the voxel size does not fit into memory."""
    need, free = FINER_BYTES * scan.array.size + FINER_BASE, free_bytes("cpu")
    if free is not None and need > free:
        raise InputError(
            f"{scan.name} with voxels of half the size takes about {need / 1e9:.1f} GB of memory, of which "
            f"{free / 1e9:.1f} GB are free.",
            "Crop the scan to the head, or to what is of interest, or close other programs.",
        )
