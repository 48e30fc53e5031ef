"""Doubts: each is raised by wrong data, not by good ones, and can be accepted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from deeprecon import cli
from deeprecon.data.doubts import CODES
from deeprecon.scattering.fit.network import Model, Normalization, write_model
from deeprecon.scattering.measure.data_misfit import network_doubts
from deeprecon.scattering.measure.orientation import truth_doubts
from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet
from deeprecon.scattering.physics.directions import directions
from deeprecon.scattering.physics.discs import disc_far_field
from deeprecon.scattering.physics.far_field_laws import energy_balance, reciprocity_defect
from deeprecon.scattering.physics.image_grids import pixel_centers
from deeprecon.scattering.physics.scene import disc, rasterize_square
from deeprecon.scattering.physics.volume_integral import VolumeIntegral
from deeprecon.scattering.read.far_field_checks import wave_number_doubts
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.far_field_file import read_far_fields
from deeprecon.scattering.write.far_field_file import write_far_fields

FAMILIES = ("discs", "ellipses", "annulus", "shepp-logan")
RINGS = {"rings": 12, "angles": 32}


def run(verb: str, output: Path, *options: str) -> int:
    return cli.main(["scattering", verb, *options, "--output", str(output), "--device", "cpu", "--threads", "1"])


def doubts_of(output: Path) -> list[dict[str, Any]]:
    doubts: list[dict[str, Any]] = json.loads((output / "result.json").read_text(encoding="utf-8"))["doubts"]
    return doubts


def check_refused_and_accepted(data: Path, code: str, words: str, tmp_path: Path, capsys: Any) -> None:
    """`reconstruct`, `prepare` and `train` refuse a file in one sentence with its way out; `--accept` records it."""
    for verb in ("reconstruct", "prepare", "train"):
        assert run(verb, tmp_path / verb, "--data", str(data)) == cli.BAD_INPUT
        message, way_out, accept = capsys.readouterr().err.splitlines()[-3:]
        assert message.startswith(f"Error: {data.name}: ")
        assert words in message
        assert way_out.strip()
        assert accept == f"  To continue all the same: --accept {code}"
    options = ("--data", str(data), "--misfits", "0", "--accept", code)
    assert run("reconstruct", tmp_path / "accepted", *options) == cli.DONE
    (found,) = doubts_of(tmp_path / "accepted")
    assert (found["code"], found["where"], found["assumed"]) == (code, data.name, False)
    page = (tmp_path / "accepted" / "report.html").read_text(encoding="utf-8")
    assert f"<p class='lead'>{data.name}: " in page
    assert f"(accepted: {code})" in page


@pytest.mark.parametrize("family", FAMILIES)
def test_good_data_of_all_families_raise_no_doubt(family: str, done: Callable[..., Path], tmp_path: Path) -> None:
    output = done("phantom", family=family, count=4, k=4.0, angles=64, rings=16, grid=32, noise=10.0)
    data = read_far_fields(output / "data.h5")
    assert (data.doubts, truth_doubts(data)) == ((), ())


@pytest.mark.parametrize("contrast", [(-0.5, -0.1), (0.005, 0.01), (0.8, 1.5)])
def test_other_contrasts_raise_no_doubt(contrast: tuple[float, float], done: Callable[..., Path]) -> None:
    low, high = contrast
    for noise in (0.0, 10.0):
        output = done("phantom", f"noise {noise}", count=4, k=4.0, contrast_min=low, contrast_max=high, noise=noise)
        data = read_far_fields(output / "data.h5")
        assert (data.doubts, truth_doubts(data)) == ((), ())


# ---- roles of source and receiver


def test_exchanged_roles_are_found_by_the_true_images(measured: FarFieldData, tmp_path: Path, capsys: Any) -> None:
    noisy = measured.with_noise(0.1, 0.0, 0)
    exchanged = replace(noisy, far_field=noisy.far_field.swapaxes(1, 2))
    write_far_fields(tmp_path / "exchanged.h5", exchanged, "test")
    words = "with source and receiver exchanged, which rotates them by 180 degrees"
    check_refused_and_accepted(tmp_path / "exchanged.h5", "roles-exchanged", words, tmp_path, capsys)


def test_a_transposed_far_field_is_that_of_the_rotated_object(measured: FarFieldData) -> None:
    """Why no test can find exchanged roles on equal directions without true images."""
    theta, scene = directions(32), (disc(0.3, 0.2, 0.25, 0.6), disc(-0.4, 0.3, 0.2, 0.3))
    opposite = tuple(disc(-one.x, -one.y, one.a, one.contrast) for one in scene)
    given, rotated = (disc_far_field(3.0, objects, theta, theta) for objects in (scene, opposite))
    np.testing.assert_allclose(given.T, rotated, atol=1e-12)
    assert reciprocity_defect(given[None]) < 1e-12
    assert reciprocity_defect(measured.with_noise(0.1, 0.0, 0).far_field) == pytest.approx(0.1 * math.sqrt(2), rel=0.1)


def write_directions(path: Path, counts: tuple[int, int], starts: tuple[float, float], change: Any) -> Path:
    """One object on other directions of observation than of incidence; `change` is applied to its matrix."""
    angles = [start + directions(count) for start, count in zip(starts, counts, strict=True)]
    far = change(disc_far_field(3.0, (disc(0.3, 0.2, 0.25, 0.6), disc(-0.4, 0.3, 0.2, 0.3)), *angles))
    with h5py.File(path, "w") as file:
        file["farfield.real"], file["farfield.imag"] = far.real.reshape(-1, 1), far.imag.reshape(-1, 1)
        file.attrs.update({"kappa": 3.0, "nfar": counts[0], "ninc": counts[1], "xlim": 1, "region_radius": 1.0})
        for kind, start, count in zip(("far", "inc"), starts, counts, strict=True):
            step = 2 * math.pi / count
            values = {"n": count, "app": 2 * math.pi - step, "cent": start + math.pi - step / 2}
            file.attrs.update({f"{kind}_param.{name}": value for name, value in values.items()})
    return path


@pytest.mark.parametrize(("counts", "starts"), [((40, 36), (0.0, 0.0)), ((36, 36), (0.0, 0.4)), ((33, 40), (0.5, 0.0))])
def test_exchanged_roles_are_found_by_reciprocity_on_different_directions(
    counts: tuple[int, int], starts: tuple[float, float], tmp_path: Path, capsys: Any
) -> None:
    assert read_far_fields(write_directions(tmp_path / "right.h5", counts, starts, np.asarray)).doubts == ()
    exchanged = write_directions(tmp_path / "exchanged.h5", counts, starts, np.transpose)
    (found,) = read_far_fields(exchanged).doubts
    assert found.code == "roles-exchanged"
    assert "only if its values are read as incidence, then observation" in found.text
    options = ("--data", str(exchanged), "--misfits", "0", "--accept", "roles-exchanged")
    assert run("reconstruct", tmp_path / "refused", *options[:4]) == cli.BAD_INPUT
    assert run("reconstruct", tmp_path / "accepted", *options) == cli.DONE


def test_places_of_sources_as_incident_directions_are_found(
    measured: FarFieldData, tmp_path: Path, capsys: Any
) -> None:
    noisy = measured.with_noise(0.1, 0.0, 0)
    turned = FarFieldData(np.roll(noisy.far_field, 16, axis=2), measured.k)
    write_far_fields(tmp_path / "turned.h5", turned, "test")
    words = "only if the incident directions are turned by 180 degrees"
    check_refused_and_accepted(tmp_path / "turned.h5", "incidence-reversed", words, tmp_path, capsys)


def test_evaluate_finds_images_that_are_rotated(measured: FarFieldData, data: Path, tmp_path: Path) -> None:
    assert run("reconstruct", tmp_path / "images", "--data", str(data), "--misfits", "0", "--rings", "12") == cli.DONE
    rotated = replace(measured, image=measured.image[:, ::-1, ::-1], polar=np.roll(measured.polar, 16, axis=1))  # type: ignore[index, arg-type]
    write_far_fields(tmp_path / "rotated.h5", rotated, "test")
    options = ("--result", str(tmp_path / "images" / "reconstruction.h5"), "--truth")
    assert run("evaluate", tmp_path / "right", *options, str(data)) == cli.DONE
    assert doubts_of(tmp_path / "right") == []
    options = (*options, str(tmp_path / "rotated.h5"))
    assert run("evaluate", tmp_path / "refused", *options) == cli.BAD_INPUT
    assert run("evaluate", tmp_path / "accepted", *options, "--accept", "roles-exchanged") == cli.DONE
    assert [found["code"] for found in doubts_of(tmp_path / "accepted")] == ["roles-exchanged"]


# ---- wave number


def test_a_wave_number_that_is_wrong_by_ten_percent_is_found(
    measured: FarFieldData, tmp_path: Path, capsys: Any
) -> None:
    wrong = replace(measured.with_noise(0.05, 0.0, 0), k=1.1 * measured.k)
    write_far_fields(tmp_path / "wrong.h5", wrong, "test")
    words = "energy is conserved at k = 3 (wave number times radius), not at the stated 3.3"
    check_refused_and_accepted(tmp_path / "wrong.h5", "wave-number-doubtful", words, tmp_path, capsys)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_the_right_wave_number_is_named(factor: float, measured: FarFieldData) -> None:
    balance = energy_balance(measured.far_field.astype(complex), factor * measured.k)
    assert balance is not None
    assert balance.ratio * factor == pytest.approx(1, rel=1e-3)
    (found,) = wave_number_doubts(measured.far_field.astype(complex), factor * measured.k, "file")
    assert not found.assumed


def test_a_small_wave_number_may_be_absorption_where_noise_hides_the_difference(measured: FarFieldData) -> None:
    noisy = measured.with_noise(0.1, 0.0, 0).far_field.astype(complex)
    (found,) = wave_number_doubts(noisy, 0.9 * measured.k, "file")
    assert found.assumed
    (found,) = wave_number_doubts(noisy, 1.1 * measured.k, "file")
    assert not found.assumed, "absorption never looks like too large a wave number"


def test_absorption_is_not_taken_for_a_wrong_wave_number() -> None:
    axis, theta = pixel_centers(48), directions(64)
    contrast = rasterize_square((disc(0.3, 0.2, 0.25, 0.6), disc(-0.4, 0.3, 0.2, 0.3)), axis) * (1 + 0.1j)
    far = VolumeIntegral(4.0, axis).far_field(contrast, theta, theta)[None]  # type: ignore[arg-type]
    balance = energy_balance(far, 4.0)
    assert balance is not None
    assert balance.ratio > 1.05
    assert wave_number_doubts(far, 4.0, "file") == ()


def test_strong_noise_and_empty_far_fields_raise_no_doubt(measured: FarFieldData) -> None:
    noisy = measured.with_noise(0.5, 0.0, 0).far_field.astype(complex)
    assert wave_number_doubts(noisy, measured.k, "file") == ()
    assert energy_balance(0 * noisy, measured.k) is None


# ---- misfit of a network


@pytest.fixture
def bundle(measured: FarFieldData, tmp_path: Path) -> Path:
    """A network that has learned nothing."""
    torch.manual_seed(0)
    model = Model(BcrNet(Architecture(32, 34, 12, 2, 2, 1, 2)), Normalization(0.5, 1.0), measured.k, (0.1, 0.8))
    write_model(tmp_path / "bundle", model, "nothing", {})
    return tmp_path / "bundle"


def test_a_network_that_explains_the_data_worse_than_tikhonov_is_the_first_line(
    data: Path, bundle: Path, tmp_path: Path, capsys: Any
) -> None:
    options = ("--data", str(data), "--bundle", str(bundle), "--method", "bcrnet", "--misfits", "2")
    assert run("reconstruct", tmp_path / "out", *options) == cli.DONE
    (found,) = doubts_of(tmp_path / "out")
    assert (found["code"], found["where"], found["assumed"]) == ("network-misfit", "data.h5", True)
    figures = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["metrics"]
    assert figures["data_misfit_network"] > figures["data_misfit_tikhonov"] > figures["data_misfit"] > 0  # refined
    assert f"{figures['data_misfit_network']:.2f}, not {figures['data_misfit_tikhonov']:.2f}" in found["text"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[[line.startswith("Done in") for line in printed].index(True) - 1].startswith("Assumed: data.h5: ")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<p class='lead'>data.h5: The network is assumed to be valid, but its images of 2 of 2 compared" in page
    assert run("reconstruct", tmp_path / "accepted", *options, "--accept", "network-misfit") == cli.DONE
    assert [found["code"] for found in doubts_of(tmp_path / "accepted")] == ["network-misfit"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_good_network_raises_no_doubt(
    family: str, bundle: Path, done: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = done("phantom", family=family, count=2, k=3.0, angles=32, rings=12, grid=32, noise=10.0) / "data.h5"
    monkeypatch.setattr(Model, "predict", lambda model, measured, device, precision: measured.truth(12))
    inputs = {"data": data, "bundle": bundle}
    output = done("reconstruct", "images", inputs=inputs, method="bcrnet", misfits=2)
    assert doubts_of(output) == []


def test_linear_methods_are_not_compared_with_themselves(data: Path, done: Callable[..., Path]) -> None:
    output = done("reconstruct", inputs={"data": data}, misfits=1, **RINGS)
    assert doubts_of(output) == []
    assert "data_misfit_tikhonov" not in json.loads((output / "result.json").read_text(encoding="utf-8"))["metrics"]


def test_every_worse_object_counts() -> None:
    (found,) = network_doubts([0.2, 1.15], [0.5, 0.35], "file.h5")
    assert "1 of 2 compared objects" in found.text
    assert "1.15, not 0.35" in found.text
    assert network_doubts([0.2, 0.3], [0.5, 0.35], "file.h5") == ()
    assert network_doubts([0.22, 0.51], [0.09, 0.5], "file.h5") == (), "less than 5 % of the energy is between them"
    assert network_doubts([0.2, 0.3], [], "file.h5") == ()


def test_the_codes_are_listed_with_their_meaning() -> None:
    codes = {"incidence-reversed", "network-misfit", "roles-exchanged", "wave-number-doubtful"}
    assert codes <= set(CODES)
    page = (Path(__file__).parents[3] / "docs" / "scattering.md").read_text(encoding="utf-8")
    assert all(f"| `{code}` |" in page for code in codes)
