"""The codebook: clusters, dead codes, gradients."""

from __future__ import annotations

import pytest
import torch

from deeprecon.ctpa.autoencoder.codebook import Codebook, codebook_usage


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def test_a_codebook_finds_the_clusters_and_revives_dead_codes():
    centers = torch.tensor([[5.0, 0], [-5, 0], [0, 5], [0, -5]])
    codebook = Codebook(4, 2, decay=0.8)
    codebook.codes.copy_(torch.tensor([[0.1, 0], [900, 900], [901, 900], [900, 901]]))  # three dead ones
    codebook.sums.copy_(codebook.codes)
    for _ in range(60):
        points = centers[torch.randint(4, (256,))] + 0.1 * torch.randn(256, 2)
        codebook(points.T.reshape(1, 2, 16, 16, 1))
    distance = torch.cdist(centers, codebook.codes).min(dim=1).values
    assert distance.max() < 0.3
    codebook.eval()
    _, chosen, _ = codebook(centers.T.reshape(1, 2, 4, 1, 1))
    assert codebook_usage(chosen, 4) == (1.0, pytest.approx(4.0))


def test_without_revival_dead_codes_stay_dead():
    codebook = Codebook(4, 2, decay=0.8, dead=0.0)
    codebook.codes.copy_(torch.tensor([[0.1, 0], [900, 900], [901, 900], [900, 901]]))
    codebook.sums.copy_(codebook.codes)
    for _ in range(20):
        _, chosen, _ = codebook(torch.randn(1, 2, 8, 8, 1))
    assert codebook_usage(chosen, 4)[0] == 0.25


def test_codes_move_to_the_mean_of_the_vectors_that_chose_them():
    codebook = Codebook(2, 1, decay=0.5)
    codebook.codes.copy_(torch.tensor([[0.0], [10.0]]))
    codebook.sums.copy_(codebook.codes)
    codebook(torch.tensor([1.0, 3.0, 12.0]).view(1, 1, 3, 1, 1))
    torch.testing.assert_close(codebook.counts, torch.tensor([1.5, 1.0]))
    torch.testing.assert_close(codebook.codes, torch.tensor([[2.0 / 1.5], [11.0]]))


def test_gradients_pass_the_codebook_and_evaluation_leaves_it_alone():
    codebook = Codebook(8, 3).eval()
    before = codebook.codes.clone()
    latent = torch.randn(2, 3, 4, 4, 4, requires_grad=True)
    quantized, chosen, commitment = codebook(latent)
    quantized.sum().backward(retain_graph=True)
    torch.testing.assert_close(latent.grad, torch.ones_like(latent))
    assert chosen.shape == (2, 4, 4, 4)
    assert commitment > 0
    torch.testing.assert_close(codebook.codes, before, rtol=0, atol=0)
    picked = codebook.codes[chosen].movedim(-1, 1)
    torch.testing.assert_close(quantized.detach(), picked)
    nearest = torch.cdist(latent.detach().movedim(1, -1).reshape(-1, 3), codebook.codes).argmin(dim=1)
    torch.testing.assert_close(chosen.flatten(), nearest)


def test_the_commitment_draws_the_latent_to_its_code():
    codebook = Codebook(1, 1).eval()
    codebook.codes.fill_(2.0)
    latent = torch.full((1, 1, 1, 1, 1), 5.0, requires_grad=True)
    codebook(latent)[2].backward()
    assert float(latent.grad) == pytest.approx(6.0)


def test_usage_counts_codes():
    assert codebook_usage(torch.tensor([0, 0, 1, 1]), 4) == (0.5, pytest.approx(2.0))
