"""Probabilities over a whole recording, with each convolution done once instead of once a window.

Without padding a feature depends only on the samples below it, so that windows which overlap share their features.
Where windows begin at different phases of the network's strides, the layers up to a stride are shared and those above
it run once a phase.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.seizure.networks.deepepi import DeepEpi
from deeprecon.seizure.observe.windows import window_starts

CHUNK = {"cpu": 128, "cuda": 4096, "mps": 1024}
"""Windows at a time: on a CPU the features of a chunk should stay in its cache."""


def window_ends(samples: int, window: int, stride: int) -> npt.NDArray[np.int64]:
    """(W,) first samples after each window of a recording, gaps or not."""
    return np.arange(window, samples + 1, stride)


def probabilities(
    network: DeepEpi,
    magnitude: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    window: int,
    stride: int,
) -> npt.NDArray[np.float64]:
    """Seizure probability of each window.

    Args:
        network: in evaluation mode, on any device.
        magnitude: (N,) g.
        valid: (N,) False in gaps.
        window, stride: samples.

    Returns:
        (W,) for the windows that end at `window_ends`; NaN for those that touch a gap.
    """
    count = len(window_ends(len(magnitude), window, stride))
    result = np.full(count, np.nan)
    weights = next(network.parameters())
    device = weights.device
    good = window_starts(valid, window, stride) // stride
    signal = torch.from_numpy(np.ascontiguousarray(magnitude)).to(weights.dtype)
    chunk = CHUNK.get(device.type, 1024)
    with torch.inference_mode():
        for first in range(0, count, chunk):
            last = min(first + chunk, count)
            if not ((good >= first) & (good < last)).any():
                continue
            part = signal[first * stride : (last - 1) * stride + window].to(device)
            starts = [stride * index for index in range(last - first)]
            logits = network.head(_means(network, part, starts, window))
            result[first:last] = torch.softmax(logits, dim=1)[:, 1].double().cpu().numpy()
    keep = np.zeros(count, np.bool_)
    keep[good] = True
    result[~keep] = np.nan
    return result


def _means(network: DeepEpi, signal: Tensor, starts: Sequence[int], window: int) -> Tensor:
    """(W, 64) features averaged over each window of a signal (N,)."""
    step = math.prod(network.strides)
    length = (window - network.minimum) // step + 1
    by_phase = _features(list(network.convolutions), network.strides, signal[None, None], {s % step for s in starts})
    rows: list[Tensor | None] = [None] * len(starts)
    sums = {
        phase: nn.functional.pad(features[0].double().cumsum(dim=1), (1, 0)) for phase, features in by_phase.items()
    }
    for phase, total in sums.items():
        numbers = [number for number, start in enumerate(starts) if start % step == phase]
        first = torch.tensor([(starts[number] - phase) // step for number in numbers], device=signal.device)
        means = ((total[:, first + length] - total[:, first]) / length).T.to(signal.dtype)
        for number, mean in zip(numbers, means, strict=True):
            rows[number] = mean
    return torch.stack([row for row in rows if row is not None])


def _features(layers: Sequence[nn.Module], strides: Sequence[int], x: Tensor, phases: set[int]) -> dict[int, Tensor]:
    """Features (1, C, L) of the signals that begin at each phase (in samples of `x`), layers shared where possible."""
    if not layers:
        return {0: x}
    result: dict[int, Tensor] = {}
    for offset in sorted({phase % strides[0] for phase in phases}):
        below = layers[0](x[:, :, offset:])
        deeper = {(phase - offset) // strides[0] for phase in phases if phase % strides[0] == offset}
        for phase, features in _features(layers[1:], strides[1:], below, deeper).items():
            result[phase * strides[0] + offset] = features
    return result


def by_window(
    network: DeepEpi, magnitude: npt.NDArray[np.float32], window: int, stride: int, batch: int = 256
) -> npt.NDArray[np.float64]:
    """The same window by window, gaps ignored: what `probabilities` is held against."""
    ends = window_ends(len(magnitude), window, stride)
    weights = next(network.parameters())
    found = []
    with torch.inference_mode():
        for first in range(0, len(ends), batch):
            rows = np.stack([magnitude[end - window : end] for end in ends[first : first + batch]])
            logits = network(torch.from_numpy(rows).to(weights))
            found.append(torch.softmax(logits, dim=1)[:, 1].double().cpu().numpy())
    return np.concatenate(found) if found else np.empty(0)
