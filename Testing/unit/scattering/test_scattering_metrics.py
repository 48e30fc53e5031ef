"""Image scores and the loss, compared with values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprecon.scattering.measure.metrics import image_scores, mean_scores, psnr, relative_l2
from deeprecon.scattering.networks.loss import relative_error


def disc_images() -> np.ndarray:
    images = np.zeros((2, 16, 4))
    images[0, :, 0] = 1.0  # the innermost ring: 1/16 of the area
    images[1, :8, 3] = 0.5  # half of the outermost: 7/32 of the area
    return images


def test_rings_count_by_their_area() -> None:
    truth = disc_images()
    found = truth.copy()
    found[:, :, 1] += 0.1  # 3/16 of the area
    expected = np.sqrt([0.01 * 3 / 16 / (1 / 16), 0.01 * 3 / 16 / (0.25 * 7 / 32)])
    np.testing.assert_allclose(relative_l2(found, truth), expected, rtol=1e-12)
    np.testing.assert_allclose(psnr(found, truth), 10 * np.log10(1 / (0.01 * 3 / 16)), rtol=1e-12)


def test_the_empty_image_has_an_error_of_one_and_scores_of_its_own() -> None:
    truth = disc_images()
    found = image_scores(0.9 * truth, truth)
    np.testing.assert_allclose(found["relative_l2_empty"], 1.0)
    np.testing.assert_allclose(found["relative_l2"], 0.1)
    assert (found["psnr_db_empty"] < found["psnr_db"]).all()
    assert "ssim" not in found  # the empty image would win


def test_an_empty_truth_has_no_relative_error_and_is_left_out_of_the_mean() -> None:
    truth = disc_images()
    truth[1] = 0
    assert np.isnan(relative_l2(truth + 0.1, truth)[1])
    assert mean_scores({"a": np.array([0.2, np.nan]), "b": np.array([np.nan])}) == {"a": 0.2}


def test_the_loss_is_the_metric() -> None:
    rng = np.random.default_rng(0)
    found, truth = rng.normal(size=(2, 5, 16, 8))
    loss = relative_error(torch.from_numpy(found), torch.from_numpy(truth))
    np.testing.assert_allclose(loss.numpy(), relative_l2(found, truth), rtol=1e-6)


def test_a_nearly_empty_object_does_not_dominate_the_loss() -> None:
    truth = torch.zeros(1, 16, 8)
    found = torch.full((1, 16, 8), 0.1, requires_grad=True)
    loss = relative_error(found, truth, floor=0.2)
    assert float(loss.detach()) == pytest.approx(0.5, rel=1e-4)
    loss.sum().backward()
    assert torch.isfinite(found.grad).all()
