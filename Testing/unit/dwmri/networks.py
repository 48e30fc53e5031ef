"""Networks and batches for tests."""

from __future__ import annotations

import torch

from deeprecon.dwmri.networks.architectures import CHANNELS, FEATURES, build


def batch(shape=(5, 7, 9), count=2):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand((count, CHANNELS, *shape), generator=generator),
        torch.rand((count, FEATURES), generator=generator) - 0.5,
    )


def perturbed(name, width=8):
    """A network with random weights added, so that no layer is zero."""
    torch.manual_seed(1)
    network = build(name, width)
    with torch.no_grad():
        for weights in network.parameters():
            weights += 0.05 * torch.randn_like(weights)
    return network.eval()
