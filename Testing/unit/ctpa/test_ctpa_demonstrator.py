"""The shipped bundle is complete, small and labelled."""

from __future__ import annotations

import pytest

from deeprecon.ctpa import demonstrator as shipped
from deeprecon.ctpa.demonstrator import demonstrator_folder
from deeprecon.ctpa.diffusion.model import load_model
from deeprecon.ctpa.memory import estimate_resources, volume_shape
from deeprecon.ctpa.parameters import Preset, SynthesizeParameters
from deeprecon.data.errors import InputError
from deeprecon.training.bundle import README, read_bundle


def test_the_demonstrator_is_complete_small_and_labelled():
    folder = demonstrator_folder()
    bundle = read_bundle(folder, "ctpa")
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 15e6
    assert "phantom-trained demonstrator" in bundle.metadata["name"]
    assert "phantom-trained demonstrator" in (folder / README).read_text(encoding="utf-8")
    model = load_model(bundle, "cpu")
    assert model.phantoms
    assert model.thresholds is not None
    assert bundle.parameters["presets"] == ["preview", "full"]


def test_a_full_volume_of_the_demonstrator_fits_a_small_computer():
    card = read_bundle(demonstrator_folder(), "ctpa").parameters
    settings = SynthesizeParameters(preset=Preset.FULL, samples=1)
    assert volume_shape(settings, card) == (608, 512, 512)
    assert estimate_resources(settings, card).memory < 4e9


def test_an_installation_without_the_demonstrator_gives_a_hint(monkeypatch):
    monkeypatch.setattr(shipped, "NAME", "not-there")
    with pytest.raises(InputError) as error:
        demonstrator_folder()
    assert "--bundle" in error.value.hint
