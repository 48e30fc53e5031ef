"""Latents kept in a store: they are those of the bundle's autoencoder, at the resolution of the preset."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprecon.ctpa.autoencoder.network import Autoencoder, AutoencoderShape
from deeprecon.ctpa.diffusion.model import AUTOENCODER_METHOD, autoencoder_card
from deeprecon.ctpa.grid import PRESETS, Grid, to_network
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.training.store import Store
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.training.bundle import Card, write_bundle
from deeprecon.worker import run_job

GRID = Grid((40, 32, 32))
CARD = Card("n", "0.1.0", "d", "v", "t", "Apache-2.0", "a", "k", {}, {})


@pytest.fixture(autouse=True)
def small_presets(monkeypatch):
    monkeypatch.setitem(PRESETS, "preview", GRID)
    monkeypatch.setitem(PRESETS, "full", Grid((80, 64, 64)))


def bundle(folder, seed=0, method=AUTOENCODER_METHOD, presets=("preview", "full")):
    torch.manual_seed(seed)
    model = Autoencoder(AutoencoderShape((4, 4, 8), 3)).eval()
    card = {"autoencoder": autoencoder_card(model), "presets": list(presets)}
    write_bundle(folder, CARD, method, "small", card, {"autoencoder": model.state_dict()}, "text")
    return model


@pytest.fixture
def manifest(tmp_path):
    hu, _ = draw_grid(make_anatomy(1), GRID)
    write_volume(tmp_path / "ct.nii.gz", Volume(hu, GRID.affine()))
    write_table(tmp_path / "manifest.csv", [{"patient": "a", "ct": "ct.nii.gz"}])
    return tmp_path / "manifest.csv"


@pytest.mark.parametrize(("preset", "coarser"), [("preview", 1), ("full", 0)])
def test_latents_are_those_of_the_autoencoder_and_on_one_grid(preset, coarser, done, manifest, tmp_path):
    model = bundle(tmp_path / "bundle")
    inputs = {"manifest": manifest, "bundle": tmp_path / "bundle"}
    store = Store.open(done("prepare", inputs=inputs, preset=preset, validation=0.0, test=0.0))
    (case,) = store.cases()
    with torch.no_grad():
        expected = model.encode(torch.from_numpy(to_network(case.volume()))[None, None], coarser)[0].numpy()
    assert case.latent().shape == (3, 20, 16, 16)  # both presets share the grid of the latent
    np.testing.assert_allclose(case.latent(), expected, rtol=2e-3, atol=2e-3)  # kept as float16
    assert store.latents is not None


def test_another_autoencoder_makes_the_latents_anew(manifest, tmp_path, monkeypatch):
    """Resuming does not mix latents of two autoencoders."""
    first, second = bundle(tmp_path / "first"), bundle(tmp_path / "second", seed=1)
    job = tmp_path / "out" / ".job"
    parameters = {"validation": 0.0, "test": 0.0}

    def start(name):
        inputs = {"manifest": str(manifest), "bundle": str(tmp_path / name)}
        Job("ctpa", "prepare", inputs, parameters, "..", "cpu", 1, "fp32").save(job)
        return run_job(job)

    with monkeypatch.context() as patch:
        patch.setattr(
            "deeprecon.ctpa.training.preparation._write_store", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert start("first") != 0
    assert start("second") == 0
    (case,) = Store.open(tmp_path / "out").cases()
    volume = torch.from_numpy(to_network(case.volume()))[None, None]
    with torch.no_grad():
        errors = [np.abs(case.latent() - model.encode(volume, 1)[0].numpy()).max() for model in (first, second)]
    assert errors[1] < 5e-3 < errors[0]


def test_a_bundle_of_another_kind_or_a_changed_one_is_refused(error_of, manifest, tmp_path):
    bundle(tmp_path / "whole", method="ctpa")
    message = error_of("prepare", inputs={"manifest": manifest, "bundle": tmp_path / "whole"})
    assert "is for ctpa, not for ctpa-autoencoder" in message
    bundle(tmp_path / "changed")
    weights = tmp_path / "changed" / "models" / "autoencoder.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    assert "checksum" in error_of("prepare", inputs={"manifest": manifest, "bundle": tmp_path / "changed"})


def test_an_autoencoder_of_previews_alone_is_not_used_for_full_volumes(error_of, manifest, tmp_path):
    bundle(tmp_path / "bundle", presets=["preview"])
    inputs = {"manifest": manifest, "bundle": tmp_path / "bundle"}
    assert "not trained on volumes of the preset full" in error_of("prepare", inputs=inputs, preset="full")
