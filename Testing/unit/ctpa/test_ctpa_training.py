"""Training both stages, through the worker: samples, losses, bundles, what is killed and resumed, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import deeprecon
from deeprecon.ctpa.autoencoder.network import AutoencoderShape
from deeprecon.ctpa.diffusion.denoiser import DENOISERS
from deeprecon.ctpa.diffusion.model import load_autoencoder, load_model
from deeprecon.ctpa.encoders.pretrained import CARDS, Layout
from deeprecon.ctpa.grid import FIELD, PRESETS, Grid
from deeprecon.ctpa.parameters import TrainAutoencoderParameters, TrainDiffusionParameters
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.training.autoencoder_loss import AutoencoderLoss
from deeprecon.ctpa.training.denoising import DenoisingLoss
from deeprecon.ctpa.training.patch_batches import StorePatches
from deeprecon.ctpa.training.plan import extrapolate_linear, scaled_widths
from deeprecon.ctpa.training.store import Store
from deeprecon.data.files import sha256
from deeprecon.data.tables import read_table, write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.training import fit
from deeprecon.training.bundle import README, load_weights, read_bundle
from deeprecon.training.checkpoint import load_checkpoint
from deeprecon.training.ema import Ema
from deeprecon.worker import run_job

PREVIEW, FULL = Grid((48, 32, 32)), Grid((96, 64, 64))
SMALL = {"autoencoder": "small-4x", "patch": 16, "steps": 6, "batch": 2}
QUICK = 100
"""Steps of the regression of the posterior mean."""
KILLED = """
import os, sys
from pathlib import Path
from deeprecon.ctpa.training import posterior_mean_fit
from deeprecon.ctpa.grid import PRESETS, Grid
from deeprecon.training import fit
from deeprecon.worker import run_job

PRESETS.update(preview=Grid((48, 32, 32)), full=Grid((96, 64, 64)))
posterior_mean_fit.STEPS = 100
saved, save = [], fit.save_checkpoint

def killed(path, state):
    save(path, state)
    saved.append(path)
    if len(saved) == 3:
        os._exit(9)  # at once, in the middle of the training

fit.save_checkpoint = killed
run_job(Path(sys.argv[1]))
"""

VERB = """
import sys
from deeprecon.cli import main
from deeprecon.ctpa.training import posterior_mean_fit
from deeprecon.ctpa.grid import PRESETS, Grid

PRESETS.update(preview=Grid((48, 32, 32)), full=Grid((96, 64, 64)))
posterior_mean_fit.STEPS = 100
sys.exit(main())
"""

OFFLINE = """
import importlib, pkgutil, socket

def refused(*args, **kwargs):
    raise AssertionError("the network was asked for")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused

import torch
import deeprecon.ctpa
for module in pkgutil.walk_packages(deeprecon.ctpa.__path__, "deeprecon.ctpa."):
    importlib.import_module(module.name)

from deeprecon.ctpa.autoencoder.network import AUTOENCODERS, Autoencoder
from deeprecon.ctpa.encoders.pretrained import make_encoder
from deeprecon.ctpa.training.auxiliary_losses import PerceptualLoss
from deeprecon.ctpa.diffusion.denoiser import DENOISERS, Denoiser
from deeprecon.ctpa.parameters import EncoderName

with torch.device("meta"):
    makers = {name: lambda shape=shape: Autoencoder(shape) for name, shape in AUTOENCODERS.items()}
    makers |= {name: lambda shape=shape: Denoiser(shape, 4) for name, shape in DENOISERS.items()}
    makers |= {entry.value: lambda name=entry.value: make_encoder(name, 32, 4) for entry in EncoderName}
    makers["perceptual"] = lambda: PerceptualLoss(None)
    for name, make in makers.items():
        make()
        print(name)
"""


@pytest.fixture(autouse=True)
def small_presets(monkeypatch):
    monkeypatch.setitem(PRESETS, "preview", PREVIEW)
    monkeypatch.setitem(PRESETS, "full", FULL)
    monkeypatch.setattr("deeprecon.ctpa.training.posterior_mean_fit.STEPS", QUICK)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """CTs of eight phantoms; their X-rays are projections."""
    folder = tmp_path_factory.mktemp("chests")
    rows = []
    for number in range(8):
        hu, _ = draw_grid(make_anatomy(number), PREVIEW)
        write_volume(folder / f"{number}.nii.gz", Volume(hu, PREVIEW.affine()))
        rows.append({"patient": f"phantom-{number}", "ct": f"{number}.nii.gz", "view": "PA" if number % 4 else "AP"})
    write_table(folder / "manifest.csv", rows)
    return folder / "manifest.csv"


def run(folder, verb, inputs, **parameters):
    job = folder / ".job"
    given = {name: str(path) for name, path in inputs.items()}
    Job("ctpa", verb, given, parameters, "..", "cpu", 1, "fp32").save(job)
    assert run_job(job) == 0, (job / "events.jsonl").read_text(encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, manifest):
    """Folders of an autoencoder, a store and a model."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "preview", PREVIEW)
        patch.setitem(PRESETS, "full", FULL)
        patch.setattr("deeprecon.ctpa.training.posterior_mean_fit.STEPS", QUICK)
        first = run(folder / "autoencoder", "train-autoencoder", {}, **SMALL)
        inputs = {"manifest": manifest, "bundle": first / "bundle"}
        store = run(folder / "store", "prepare", inputs, validation=0.4, test=0.0)
        inputs = {"store": store, "bundle": first / "bundle"}
        model = run(folder / "model", "train-diffusion", inputs, steps=4, batch=2)
    return first, store, model


# ---- patches of a store


def test_store_patches_are_read_where_they_lie(trained):
    store = Store.open(trained[1])
    patches = StorePatches(store.cases("train"), 16, 0)
    assert patches(np.arange(3)).shape == (3, 1, 16, 16, 16)
    assert torch.equal(patches(np.arange(3)), patches(np.arange(3)))
    assert StorePatches(store.cases("train"), 512, 0)(np.arange(1)).shape == (1, 1, *PREVIEW.shape)


# ---- the verbs


def test_an_autoencoder_bundle_holds_its_card_and_the_cost_of_training(trained):
    bundle = read_bundle(trained[0] / "bundle", "ctpa-autoencoder")
    assert [path.name for path in bundle.weights] == ["autoencoder.safetensors"]
    assert bundle.parameters["presets"] == ["preview", "full"]
    figures = json.loads((trained[0] / "result.json").read_text(encoding="utf-8"))["metrics"]
    assert {"psnr_preview", "psnr_full", "estimated_gb", "peak_gb", "training_seconds"} <= set(figures)
    assert 0.2 < figures["estimated_gb"] / figures["peak_gb"] < 5


def test_a_model_bundle_is_complete_and_standardized(trained):
    bundle = read_bundle(trained[2] / "bundle", "ctpa")
    assert [path.stem for path in bundle.weights] == ["autoencoder", "denoiser"]
    model = load_model(bundle, "cpu")
    assert model.phantoms
    assert model.thresholds is not None
    assert model.thresholds.nrmse > 0
    store = Store.open(trained[1])
    assert bundle.parameters["latent_grid"] == {"shape": [24, 16, 16], "field": list(FIELD)}
    assert set(model.geometries) == {case.geometry for case in store.cases("train")}
    assert bundle.metadata["license"] == "Apache-2.0"
    case = store.cases("validation")[0]
    xray = torch.from_numpy(case.xray())[None, None]
    assert model.distance(xray) < 5 < model.distance(xray.flip(2) * 3)
    deviation = model.denoiser.posterior_mean.deviation(model.denoiser.posterior_mean(xray))
    assert deviation.shape[1:] == model.denoiser.posterior_mean.mean.shape == (4, 24, 16, 16)


def test_a_bundle_names_the_frozen_encoder_in_it_and_its_license(done, trained, tmp_path, monkeypatch):
    class Tiny(nn.Conv2d):
        channels = 4

        def __init__(self) -> None:
            super().__init__(3, 4, 32, 32)

    layout = Layout("", "none", (0.5,) * 3, (0.5,) * 3)
    monkeypatch.setitem(CARDS, "resnet50", replace(CARDS["resnet50"], trunk=Tiny, layouts=(layout,)))
    save_file(Tiny().state_dict(), tmp_path / "mine.safetensors")
    inputs = {"store": trained[1], "bundle": trained[0] / "bundle", "encoder": tmp_path / "mine.safetensors"}
    output = done("train-diffusion", inputs=inputs, steps=2, batch=1, xray_encoder="resnet50")
    bundle = read_bundle(output / "bundle", "ctpa")
    assert bundle.metadata["license"] == "NOASSERTION"  # of phantoms, but not by our weights alone
    card, page = bundle.metadata["description"], (bundle.folder / README).read_text(encoding="utf-8")
    for words in ("resnet50", "mine.safetensors", sha256(inputs["encoder"]), "RadImageNet: research only"):
        assert words in card
        assert words in page


@pytest.mark.parametrize("settings", [{"patch": 8}, {"checkpointing": True}, {"process": "epsilon"}], ids=str)
def test_other_ways_of_training_work(settings, done, trained):
    inputs = {"store": trained[1], "bundle": trained[0] / "bundle"}
    output = done("train-diffusion", inputs=inputs, steps=2, batch=1, **settings)
    assert load_model(read_bundle(output / "bundle", "ctpa"), "cpu").process is not None


def test_a_vqgan_is_trained_on_a_store_with_discriminators_and_goes_on_to_the_same_weights(
    start, trained, figures_of, monkeypatch
):
    settings = SMALL | {
        "autoencoder": "vqgan", "width": 8, "steps": 2, "batch": 1, "slice_weight": 0.1, "volume_weight": 0.2,
        "adversarial_start": 0.5, "inputs": {"store": trained[1]},
    }  # fmt: skip
    code, straight = start("train-autoencoder", "straight", **settings)
    assert code == 0
    bundle = read_bundle(straight / "bundle")
    assert bundle.parameters["presets"] == ["preview"]
    assert load_autoencoder(bundle, "cpu").shape == AutoencoderShape((8, 16, 32), 8, 2, 4096)
    assert 0 < figures_of(straight)["codebook_usage"] <= 1 <= figures_of(straight)["codebook_perplexity"]
    history = read_table(straight / "history.csv")
    assert [float(row["codebook_usage"]) > 0 for row in history] == [True, True]

    save, saved = fit.save_checkpoint, []

    def killed(path, state):
        save(path, state)
        saved.append(path)
        if path.stem == "autoencoder" and state["epoch"] == 1:
            raise OSError("the computer went away")

    monkeypatch.setattr(fit, "save_checkpoint", killed)
    code, broken = start("train-autoencoder", "broken", **settings)
    assert code != 0
    monkeypatch.setattr(fit, "save_checkpoint", save)
    assert int(load_checkpoint(saved[-1])["model"]["adversary.passes"]) == 1
    assert run_job(broken / ".job") == 0
    one, other = (load_weights(read_bundle(folder / "bundle"))[0] for folder in (straight, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_width_of_a_denoiser_is_a_setting_and_in_its_bundle(done, trained):
    inputs = {"store": trained[1], "bundle": trained[0] / "bundle"}
    bundle = read_bundle(done("train-diffusion", inputs=inputs, steps=2, batch=1, width=8) / "bundle", "ctpa")
    assert bundle.parameters["denoiser"]["widths"] == [8, 16, 32]
    assert load_model(bundle, "cpu").denoiser.shape.widths == (8, 16, 32)


def test_widths_keep_their_proportions_and_their_heads():
    large = DENOISERS["large"]
    assert scaled_widths(large.widths, 0) == scaled_widths(large.widths, 112) == large.widths
    for width in (8, 24, 64):
        widths = scaled_widths(large.widths, width)
        assert widths[0] == width
        assert widths[-1] % large.heads == 0
        assert widths[1] == 2 * width
    assert TrainDiffusionParameters(width=12).validate() == ["width: 12 does not divide by 8"]
    assert TrainAutoencoderParameters(width=12).validate() == ["width: 12 does not divide by 8"]


@pytest.mark.parametrize("verb", ["train-autoencoder", "train-diffusion"])
def test_a_training_that_was_killed_goes_on_to_the_same_weights(verb, trained, tmp_path):
    inputs = {} if verb == "train-autoencoder" else {"store": trained[1], "bundle": trained[0] / "bundle"}
    parameters = SMALL if verb == "train-autoencoder" else {"steps": 4, "batch": 2}
    straight = trained[0] if verb == "train-autoencoder" else trained[2]
    job = tmp_path / "out" / ".job"
    Job("ctpa", verb, {name: str(path) for name, path in inputs.items()}, parameters, "..", "cpu", 1, "fp32").save(job)
    environment = {**os.environ, "PYTHONPATH": str(Path(next(iter(deeprecon.__path__))).parent), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(job)], env=environment, capture_output=True)
    assert killed.returncode == 9, killed.stderr.decode()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".job"]
    assert run_job(job) == 0
    for one, other in zip(
        *(load_weights(read_bundle(f / "bundle")) for f in (straight, tmp_path / "out")), strict=True
    ):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_processes_train_a_denoiser_from_the_command_line_as_one_does_with_the_double_batch(trained, tmp_path):
    pytest.importorskip("lightning_fabric")
    library = str(Path(next(iter(deeprecon.__path__))).parent)
    environment = {**os.environ, "PYTHONPATH": library, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    (tmp_path / "verb.py").write_text(VERB, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               str(tmp_path / "verb.py"), "ctpa", "train-diffusion", "--store", str(trained[1]),
               "--bundle", str(trained[0] / "bundle"), "--steps", "4", "--batch", "1", "--device", "cpu",
               "--precision", "fp32", "--threads", "1", "--output", str(tmp_path / "two")]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Results in") == 1  # of the first process alone
    one, two = (
        [float(row["loss"]) for row in read_table(folder / "history.csv")] for folder in (trained[2], tmp_path / "two")
    )
    assert len(one) == 4
    assert two == pytest.approx(one, rel=1e-4)
    assert load_model(read_bundle(tmp_path / "two" / "bundle", "ctpa"), "cpu").thresholds is not None


@pytest.mark.parametrize(("verb", "method"), [("train-autoencoder", "ctpa-autoencoder"), ("train-diffusion", "ctpa")])
def test_a_training_that_is_stopped_leaves_the_best_model_so_far(verb, method, start, trained, tmp_path, warnings_of):
    inputs = {} if verb == "train-autoencoder" else {"store": trained[1], "bundle": trained[0] / "bundle"}
    (tmp_path / "out" / ".job").mkdir(parents=True)
    (tmp_path / "out" / ".job" / "stop").touch()
    code, output = start(verb, inputs=inputs, **SMALL if verb == "train-autoencoder" else {"steps": 40, "batch": 2})
    assert code == 0, (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
    bundle = read_bundle(output / "bundle", method)
    assert "stopped after" in bundle.metadata["training_data"]
    assert any("stopped early" in text for text in warnings_of(output))
    if method == "ctpa":
        assert load_model(bundle, "cpu").thresholds is not None  # it can still warn of a bad result


def test_the_need_of_a_large_sample_follows_from_two_small_ones():
    assert extrapolate_linear((1.0, 2.0), (13.0, 16.0), 100.0) == pytest.approx(310.0)
    assert extrapolate_linear((2.0, 2.0), (6.0, 6.0), 100.0) == pytest.approx(300.0)


# ---- traps


@pytest.mark.parametrize("kind", ["autoencoder", "denoiser"])
def test_a_bundle_holds_the_averaged_weights(kind, done, trained, figures_of, monkeypatch):
    """Trap: an average that is computed and not used."""
    made = []

    class Watched(Ema):
        def __init__(self, model, decay):
            super().__init__(model, decay)
            self.model = model
            made.append(self)

        def applied(self):
            self.last = {name: value.detach().clone() for name, value in self.model.named_parameters()}
            return super().applied()

    monkeypatch.setattr(fit, "Ema", Watched)
    if kind == "autoencoder":
        output = done("train-autoencoder", **SMALL | {"steps": 2})
    else:
        inputs = {"store": trained[1], "bundle": trained[0] / "bundle"}
        output = done("train-diffusion", inputs=inputs, steps=2, batch=1)
    assert figures_of(output)["best_epoch"] == 1  # the last, of which the average still is
    bundle = read_bundle(output / "bundle")
    weights = dict(zip([path.stem for path in bundle.weights], load_weights(bundle), strict=True))[kind]
    ema = made[-1]
    moved = 0
    for name, average in ema.state_dict()["average"].items():
        kept = weights[name.removeprefix(f"{kind}.")]
        assert torch.equal(kept, average.to(kept.dtype))
        moved += not torch.equal(kept, ema.last[name].to(kept.dtype))
    assert moved > 10


@pytest.mark.parametrize("verb", ["train-autoencoder", "train-diffusion"])
def test_a_loss_that_is_not_a_number_is_refused_and_leaves_no_bundle(verb, error_of, trained, monkeypatch):
    """Trap: a loss of 0 in its place, or noise in place of what is predicted, with which it trains on."""
    kind = AutoencoderLoss if verb == "train-autoencoder" else DenoisingLoss
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, batch: forward(self, batch) * float("nan"))
    inputs = {} if verb == "train-autoencoder" else {"store": trained[1], "bundle": trained[0] / "bundle"}
    parameters = SMALL if verb == "train-autoencoder" else {"steps": 2, "batch": 1}
    message = error_of(verb, inputs=inputs, **parameters | {"steps": 2})
    assert "The training loss is no finite number any more in epoch 0" in message
    assert "learning_rate" in message


def test_nothing_is_loaded_from_a_network():
    """Trap: a text tower and a tokenizer that are fetched at start-up, used or not."""
    environment = {**os.environ, "PYTHONPATH": str(Path(next(iter(deeprecon.__path__))).parent), "OMP_NUM_THREADS": "1"}
    built = subprocess.run([sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert set(built.stdout.split()) >= {"vqgan", "large", "biomedclip-vit-b16", "perceptual"}


# ---- what is refused


def test_inputs_that_do_not_belong_together_are_refused(error_of, trained, tmp_path):
    run(tmp_path / "other", "train-autoencoder", {}, **SMALL | {"steps": 2})
    inputs = {"store": trained[1], "bundle": tmp_path / "other" / "bundle"}
    assert "another autoencoder" in error_of("train-diffusion", inputs=inputs, steps=2)
    own = {"store": trained[1], "bundle": trained[0] / "bundle"}
    assert "needs its weights" in error_of("train-diffusion", inputs=own, steps=2, xray_encoder="resnet50")
    assert "is for ctpa, not for" in error_of(
        "train-diffusion", inputs={"store": trained[1], "bundle": trained[2] / "bundle"}, steps=2
    )
    assert "one of the two" in error_of("train-autoencoder", **SMALL | {"perceptual_weight": 1.0})


def test_a_store_without_latents_or_validation_cases_is_refused(error_of, trained, manifest, tmp_path):
    bare = run(tmp_path / "bare", "prepare", {"manifest": manifest}, validation=0.0, test=0.0)
    inputs = {"store": bare, "bundle": trained[0] / "bundle"}
    assert "no latents" in error_of("train-diffusion", inputs=inputs, steps=2)
    assert "no training or no validation" in error_of("train-autoencoder", inputs={"store": bare}, **SMALL)


@pytest.mark.parametrize("verb", ["train-autoencoder", "train-diffusion"])
def test_too_little_memory_is_refused_before_it_starts(verb, error_of, trained, monkeypatch):
    monkeypatch.setattr("deeprecon.ctpa.training.plan.free_bytes", lambda device: 10**6)
    inputs = {} if verb == "train-autoencoder" else {"store": trained[1], "bundle": trained[0] / "bundle"}
    parameters = SMALL if verb == "train-autoencoder" else {"steps": 2}
    assert "0.0 GB are free" in error_of(verb, inputs=inputs, **parameters)
