"""Both methods over a recording; the networks in one pass, each convolution computed once instead of once per window.

Without padding, a feature depends only on the samples in its receptive field, so overlapping windows share features.
Where windows start at different phases of the network's strides, the layers up to a stride are shared and the layers
after it run once per phase.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.fit.baseline import analyze_recording
from deeprecon.seizure.fit.detection import Detection
from deeprecon.seizure.networks.deepepi import DeepEpi
from deeprecon.seizure.observe.windows import window_ends, window_starts
from deeprecon.seizure.read.recording import Recording, describe_unmonitored
from deeprecon.training.devices import to_float64

WINDOWS_PER_CHUNK = {"cpu": 128, "cuda": 4096, "mps": 1024}
"""By device; on a CPU the features of a chunk should fit into its cache."""


def detect_in_recording(
    networks: Sequence[DeepEpi],
    window: int,
    recording: Recording,
    stride: float,
    osd_threshold: float,
    before_network: Callable[[int], None] = lambda number: None,
) -> Detection:
    """Run an ensemble and OpenSeizureDetector over a recording.

    Args:
        networks: in evaluation mode, on any device.
        window: samples.
        recording: of any length.
        stride: s between the windows.
        osd_threshold: see `baseline.analyze_rows`.
        before_network: called with the number of each network before it runs; may raise to stop.

    Returns:
        Without windows (W = 0) where the recording is shorter than one.
    """
    step = round(stride * SAMPLE_RATE)
    ends = window_ends(len(recording.magnitude), window, step)
    if not len(ends):
        empty = np.empty(0)
        return Detection(empty, np.empty((len(networks), 0)), empty, empty, empty, empty)
    models = []
    for number, network in enumerate(networks):
        before_network(number)
        models.append(window_probabilities(network, recording.magnitude, recording.valid, window, step))
    return Detection(ends / SAMPLE_RATE, np.array(models), *analyze_recording(recording, ends, osd_threshold))


def check_windows(recording: Recording, detection: Detection, window: int) -> None:
    """Refuse a recording without any usable window.

    Raises:
        InputError: it is shorter than a window, or has no window without a gap.
    """
    seconds = window / SAMPLE_RATE
    if not len(detection.times):
        raise InputError(
            f"The recording {recording.name} lasts {recording.seconds:.1f} s, shorter than a window of {seconds:g} s.",
            "Give a longer one.",
        )
    if np.isnan(detection.models[0]).all():
        raise InputError(
            f"The recording {recording.name} has no {seconds:g} s without a part that is not monitored: "
            f"{describe_unmonitored([recording])}.",
            "Look at its times and at the sensor, or give another recording.",
        )


def window_probabilities(
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
    usable = window_starts(valid, window, stride) // stride
    signal = torch.from_numpy(np.ascontiguousarray(magnitude)).to(weights.dtype)
    chunk = WINDOWS_PER_CHUNK.get(device.type, 1024)
    with torch.inference_mode():
        for first in range(0, count, chunk):
            last = min(first + chunk, count)
            if not ((usable >= first) & (usable < last)).any():
                continue
            part = signal[first * stride : (last - 1) * stride + window].to(device)
            starts = [stride * index for index in range(last - first)]
            logits = network.head(_mean_features(network, part, starts, window))
            result[first:last] = to_float64(torch.softmax(logits, dim=1)[:, 1]).cpu().numpy()
    keep = np.zeros(count, np.bool_)
    keep[usable] = True
    result[~keep] = np.nan
    return result


def _mean_features(network: DeepEpi, signal: Tensor, starts: Sequence[int], window: int) -> Tensor:
    """(W, 64) features averaged over each window of a signal (N,)."""
    step = math.prod(network.strides)
    length = (window - network.minimum) // step + 1
    by_phase = _features_by_phase(
        list(network.convolutions), network.strides, signal[None, None], {s % step for s in starts}
    )
    rows: list[Tensor | None] = [None] * len(starts)
    sums = {
        phase: nn.functional.pad(to_float64(features[0]).cumsum(dim=1), (1, 0)) for phase, features in by_phase.items()
    }
    for phase, total in sums.items():
        numbers = [number for number, start in enumerate(starts) if start % step == phase]
        first = torch.tensor([(starts[number] - phase) // step for number in numbers], device=total.device)
        means = ((total[:, first + length] - total[:, first]) / length).T.to(signal)
        for number, mean in zip(numbers, means, strict=True):
            rows[number] = mean
    return torch.stack([row for row in rows if row is not None])


def _features_by_phase(
    layers: Sequence[nn.Module], strides: Sequence[int], x: Tensor, phases: set[int]
) -> dict[int, Tensor]:
    """Features (1, C, L) of the signals that start at each phase (samples of `x`); layers are shared where possible."""
    if not layers:
        return {0: x}
    result: dict[int, Tensor] = {}
    for offset in sorted({phase % strides[0] for phase in phases}):
        below = layers[0](x[:, :, offset:])
        deeper = {(phase - offset) // strides[0] for phase in phases if phase % strides[0] == offset}
        for phase, features in _features_by_phase(layers[1:], strides[1:], below, deeper).items():
            result[phase * strides[0] + offset] = features
    return result
