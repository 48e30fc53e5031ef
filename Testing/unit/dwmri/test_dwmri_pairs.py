"""Held-out pairs, or slices of a single one, are not trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deeprecon.data.diffusion.files import write_dwi
from deeprecon.data.errors import InputError
from deeprecon.dwmri.parameters import Architecture, TrainParameters
from deeprecon.dwmri.training.optimization import train_network
from deeprecon.dwmri.training.pairs import MARGIN, hold_out, make_pair
from deeprecon.jobs.run import Run, SilentReporter

SETTINGS = TrainParameters(Architecture.UNET, 4, steps=2, batch=2)


@pytest.fixture(scope="module")
def pair(head):
    return make_pair(head.noisy, np.asarray(head.clean.array, np.float32), head.mask, head.sigma, "head", "cpu")


def numbered(pair, first=0):
    """The same pair with the number of each voxel in place of its truth."""
    numbers = first + torch.arange(pair.inside.numel(), dtype=torch.float32).view(pair.inside.shape)
    return replace(pair, truth=numbers.expand(pair.truth.shape))


def seen(pairs, crops=20):
    """Numbers of all voxels in many crops."""
    rng = np.random.default_rng(0)
    return {int(number) for each in pairs for _ in range(crops) for number in each.crop(rng)[2].unique()}


def result_of(pairs, folder, seed=0):
    (result,) = train_network(
        hold_out(pairs, seed), SETTINGS, Run(folder, folder, "cpu", 1, "fp32", seed, SilentReporter())
    )[1]
    return result


@pytest.mark.parametrize("seed", [0, 2])  # of which one holds out the upper, one the lower end
def test_no_voxel_that_is_held_out_is_in_a_training_crop(pair, seed):
    split = hold_out([numbered(pair)], seed)
    trained, held = seen(split.training), seen(split.held_out)
    assert trained
    assert held
    slices_trained, slices_held = ({number // 24 % 24 for number in numbers} for numbers in (trained, held))
    assert min(abs(one - other) for one in slices_trained for other in slices_held) > MARGIN
    voxels = len(split.held_out[0].voxels) / len(pair.voxels)
    assert 0.2 <= voxels < 0.35
    first, last = min(slices_held), max(slices_held)
    assert split.description.startswith(f"slices {first} to {last} of 24 along j")


def test_either_end_of_a_single_pair_may_be_held_out(pair):
    assert {hold_out([pair], seed).held_out[0].region[1].start == 0 for seed in range(8)} == {True, False}


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (5, 1), (7, 1), (10, 2)])
def test_complete_pairs_are_held_out_where_there_are_several(pair, count, held_out):
    names = [f"scan{number + 1}" for number in range(count)]
    pairs = [replace(numbered(pair, 10_000 * n), name=name, head=name) for n, name in enumerate(names)]
    split = hold_out(pairs, 0)
    assert len(split.held_out) == held_out
    assert len(split.training) == count - held_out
    assert not seen(split.training, 5) & seen(split.held_out, 5)
    assert all(f"({each.name})" in split.description for each in split.held_out)
    assert hold_out(pairs, 0).description == split.description
    assert len({hold_out(pairs, seed).description for seed in range(20)}) > 1


def test_several_scans_of_one_head_are_held_out_together(pair):
    pairs = [replace(pair, name=f"scan{number}", head=f"head{number % 3}") for number in range(6)]
    for seed in range(8):
        split = hold_out(pairs, seed)
        assert (len(split.training), len(split.held_out)) == (4, 2)
        assert not {each.head for each in split.training} & {each.head for each in split.held_out}
    alone = hold_out([numbered(pair), numbered(pair)], 0)
    assert (len(alone.training), len(alone.held_out)) == (2, 2)
    assert not seen(alone.training) & seen(alone.held_out)


def test_held_out_truth_changes_the_held_out_loss_and_not_the_training(pair, tmp_path):
    """The truth is made wrong where slices are held out; the training goes on unchanged."""
    region = hold_out([pair], 0).held_out[0].region
    there = torch.zeros(pair.inside.shape, dtype=torch.bool)
    there[tuple(slice(each.start, each.stop) for each in region)] = True
    plain, other = (
        result_of([each], tmp_path / name)
        for name, each in (("plain", pair), ("other", replace(pair, truth=pair.truth + there)))
    )
    for before, after in zip(plain.history, other.history, strict=True):
        assert before["loss"] == after["loss"]
        assert abs(before["validation"] - after["validation"]) > 0.1


def test_a_mask_too_thin_to_hold_out_slices_is_refused(head):
    thin = np.zeros_like(head.mask)
    thin[:, 10 : 11 + MARGIN] = head.mask[:, 10 : 11 + MARGIN]
    pair = make_pair(head.noisy, np.asarray(head.clean.array, np.float32), thin, head.sigma, "head", "cpu")
    for seed in range(4):
        with pytest.raises(InputError, match="too thin"):
            hold_out([pair], seed)


def test_a_stopped_training_resumes_with_the_same_pairs_held_out(head, tmp_path):
    from deeprecon.jobs.job import Job
    from deeprecon.training.bundle import load_weights, read_bundle
    from deeprecon.worker import run_job

    files = {
        name: [str(write_dwi(tmp_path / f"{name}{number}.nii.gz", scan)["dwi"]) for number in (1, 2)]
        for name, scan in (("noisy", head.noisy), ("clean", head.clean))
    }
    settings = {"network": "unet", "width": 4, "steps": 2, "batch": 1}
    for name in ("complete", "cut"):
        job = tmp_path / name / ".job"
        Job("dwmri", "train", files, settings, "..", "cpu", 1, "fp32", 0).save(job)
        if name == "cut":
            (job / "stop").touch()
            assert run_job(job) == 0  # the best by then
            (job / "stop").unlink()
        assert run_job(job) == 0
    complete, cut = (read_bundle(tmp_path / name / "bundle") for name in ("complete", "cut"))
    for name, weights in load_weights(complete)[0].items():
        torch.testing.assert_close(load_weights(cut)[0][name], weights, rtol=0, atol=0)
    assert "of 2 pairs" in complete.metadata["training_data"]
    assert cut.metadata["training_data"] == complete.metadata["training_data"]
