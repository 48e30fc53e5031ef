"""Far-field files: the layout of Desai et al., round trips, invalid content; noise and network inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.directions import average_reciprocal, directions, to_midpoint
from deeprecon.scattering.physics.discs import disc_far_field
from deeprecon.scattering.physics.far_field_laws import energy_defect
from deeprecon.scattering.physics.scene import Scene, disc, sample_contrast
from deeprecon.scattering.read.far_field_data import FarFieldData, RegionGeometry, midpoint_channels
from deeprecon.scattering.read.far_field_file import read_far_fields
from deeprecon.scattering.write.far_field_file import write_far_fields

SCENES: tuple[Scene, ...] = ((disc(0.3, 0.2, 0.25, 0.6),), (disc(-0.4, 0.1, 0.2, 0.3), disc(0.1, -0.4, 0.15, 0.8)))
K = 6.0
REGION = math.sqrt(2)
"""Radius of the disc around the square of the generator's images, in which k and lengths count once read."""


def exact(scene: Scene, theta: np.ndarray, region: float = REGION) -> np.ndarray:
    """Far field in the unit of a region of that radius."""
    smaller = tuple(disc(one.x / region, one.y / region, one.a / region, one.contrast) for one in scene)
    return disc_far_field(K * region, smaller, theta, theta)


def as_the_generator_writes(
    path: Path, n: int = 40, grid: int = 30, empty: int = 0, scenes: tuple[Scene, ...] = SCENES, turn: float = 0.0
) -> Path:
    """A file as Desai et al. write it: end point repeated, samples last, `empty` unfilled samples; observed from an
    angle on that is larger by `turn` radians than that of the incidence."""
    angles = np.linspace(-math.pi, math.pi, n)
    axis = np.linspace(-1, 1, grid)
    x, y = np.meshgrid(axis, axis)
    far = np.stack([disc_far_field(K, scene, angles + turn, angles).ravel() for scene in scenes], axis=1)
    image = np.stack([sample_contrast(scene, x, y).ravel() for scene in scenes], axis=1)
    with h5py.File(path, "w") as file:
        for name, values in (("farfield.real", far.real), ("farfield.imag", far.imag), ("image", image)):
            file[name] = np.pad(values, ((0, 0), (0, empty)))
        file.attrs.update({"kappa": K, "xlim": 1, "Ngrid": grid, "nfar": n, "ninc": n, "porder": 4})
        for kind in ("inc", "far"):
            file.attrs.update({f"{kind}_param.n": n, f"{kind}_param.app": 2 * math.pi, f"{kind}_param.cent": 0})
        file.attrs["far_param.cent"] = turn
    return path


def test_the_repeated_direction_is_dropped_and_the_angles_start_at_zero(tmp_path: Path) -> None:
    found = read_far_fields(as_the_generator_writes(tmp_path / "file.h5"), angles=48)
    theta = directions(48)
    for scene, measured in zip(SCENES, found.far_field, strict=True):
        expected = exact(scene, theta)
        assert np.abs(measured - expected).max() < 2e-5 * np.abs(expected).max()
    assert found.k == K * REGION
    assert found.notes == ()


def test_observation_and_incidence_may_start_at_different_angles(tmp_path: Path) -> None:
    found = read_far_fields(as_the_generator_writes(tmp_path / "file.h5", turn=0.7), angles=48)
    for scene, measured in zip(SCENES, found.far_field, strict=True):
        expected = exact(scene, directions(48))
        assert np.abs(measured - expected).max() < 2e-5 * np.abs(expected).max()


def test_the_angles_are_as_many_as_the_wave_number_needs(tmp_path: Path) -> None:
    assert read_far_fields(as_the_generator_writes(tmp_path / "file.h5")).angles == 64  # 4 (8.5 + 6), a power of two


def test_both_parts_of_the_far_field_are_read(tmp_path: Path) -> None:
    found = read_far_fields(as_the_generator_writes(tmp_path / "file.h5")).far_field
    assert np.abs(found.imag).max() > 0.1 * np.abs(found.real).max()


def test_rows_of_the_image_are_y_and_become_the_angle_of_the_polar_image(tmp_path: Path) -> None:
    found = read_far_fields(as_the_generator_writes(tmp_path / "file.h5"), angles=64)
    polar = found.truth(16)[0].sum(axis=1)
    middle = np.angle((polar * np.exp(1j * directions(64))).sum())
    assert middle == pytest.approx(math.atan2(0.2, 0.3), abs=0.05)


def test_unfilled_samples_are_left_out_with_a_note(tmp_path: Path) -> None:
    found = read_far_fields(as_the_generator_writes(tmp_path / "file.h5", empty=3))
    assert len(found) == 2
    assert "3 of 5 samples are empty" in found.notes[0]
    assert found.image is not None
    assert len(found.image) == 2


def test_samples_can_be_limited(tmp_path: Path) -> None:
    assert len(read_far_fields(as_the_generator_writes(tmp_path / "file.h5"), limit=1)) == 1


def test_wave_number_and_far_field_are_scaled_to_the_radius_of_the_region(tmp_path: Path) -> None:
    """Twice the length unit: half the wave number, the same object."""
    path = as_the_generator_writes(tmp_path / "file.h5")
    with h5py.File(path, "a") as file:
        file.attrs["xlim"], file.attrs["kappa"] = 2, K / 2
        for name in ("farfield.real", "farfield.imag"):
            file[name][...] = file[name][()] * math.sqrt(2)  # a far field in the plane has the unit sqrt(length)
    found = read_far_fields(path, angles=48)
    expected = exact(SCENES[0], directions(48))
    assert found.k == K * REGION
    assert np.abs(found.far_field[0] - expected).max() < 2e-5 * np.abs(expected).max()


def test_a_file_may_state_its_region(tmp_path: Path) -> None:
    path = change(as_the_generator_writes(tmp_path / "file.h5"), attribute(region_radius=1.0))
    found, expected = read_far_fields(path, angles=48), exact(SCENES[0], directions(48), 1.0)
    assert found.k == K
    assert np.abs(found.far_field[0] - expected).max() < 2e-5 * np.abs(expected).max()


def test_objects_in_the_corners_of_the_square_lie_inside_the_region(tmp_path: Path) -> None:
    """The generator puts discs anywhere in its square; none may be cut off."""
    corner = (disc(0.84, 0.84, 0.15, 0.5),)
    found = read_far_fields(as_the_generator_writes(tmp_path / "file.h5", grid=100, scenes=(corner,)), angles=128)
    weights = (2 * np.arange(64) + 1) / 64**2
    area = (found.truth(64)[0] * weights).mean(axis=0).sum() / 0.5
    assert area == pytest.approx((0.15 / REGION) ** 2, rel=0.05)
    assert found.notes == ()


def test_what_is_written_is_read(measured: FarFieldData, tmp_path: Path) -> None:
    geometry = RegionGeometry(40.0, np.diag([1.0, -1.0, 5.0, 1.0]), 1480.0)
    given = FarFieldData(measured.far_field, measured.k, measured.image, measured.axis, measured.polar, geometry)
    write_far_fields(tmp_path / "file.h5", given, "test")
    found = read_far_fields(tmp_path / "file.h5", measured.angles)
    np.testing.assert_allclose(found.far_field, measured.far_field, atol=1e-6)
    np.testing.assert_array_equal(found.image, measured.image)
    np.testing.assert_allclose(found.axis, measured.axis, atol=1e-12)
    np.testing.assert_array_equal(found.truth(12), measured.polar)
    assert found.geometry is not None
    assert (found.geometry.radius_mm, found.geometry.sound_speed) == (40.0, 1480.0)
    np.testing.assert_array_equal(found.geometry.plane_to_ras, geometry.plane_to_ras)
    assert found.notes == ()


def test_the_truth_of_other_rings_comes_from_the_image(measured: FarFieldData) -> None:
    weights = (2 * np.arange(20) + 1) / 400
    found = (measured.truth(20) * weights).mean(axis=1).sum(axis=1)
    known = (measured.truth(12) * (2 * np.arange(12) + 1) / 144).mean(axis=1).sum(axis=1)
    np.testing.assert_allclose(found, known, rtol=0.06)


# ---- invalid files


def change(path: Path, how: Callable[[Any], None]) -> Path:
    with h5py.File(path, "a") as file:
        how(file)
    return path


def replaced(name: str, make: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], None]:
    def how(file: Any) -> None:
        values = make(file[name][()])
        del file[name]
        file[name] = values

    return how


def drop(name: str) -> Callable[[Any], None]:
    def how(file: Any) -> None:
        del file[name]

    return how


def attribute(**values: Any) -> Callable[[Any], None]:
    return lambda file: file.attrs.update({name.replace("__", "."): value for name, value in values.items()})


def with_nan(values: np.ndarray) -> np.ndarray:
    values[3, 1] = np.nan
    return values


def both(make: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], None]:
    def how(file: Any) -> None:
        for name in ("farfield.real", "farfield.imag"):
            replaced(name, make)(file)

    return how


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (drop("farfield.imag"), "lacks the dataset farfield.imag; it holds farfield.real, image"),
        (lambda file: file.attrs.pop("kappa"), "lacks the attribute kappa"),
        (attribute(kappa="sixteen"), "kappa is 'sixteen', expected a number"),
        (attribute(kappa=math.nan), "kappa is nan"),
        (attribute(kappa=-3.0), "kappa is -3"),
        (attribute(nfar=41, far_param__n=41), r"expected \(41 x 40 = 1640, samples\)"),
        (attribute(nfar=40.5), "nfar is 40.5, expected a whole number"),
        (attribute(far_param__n=39), "far_param.n is 39, but nfar is 40"),
        (attribute(inc_param__app=math.pi), "no full circle.*limited aperture is not supported"),
        (both(lambda values: values.T.copy()), "axes are exchanged: samples come last"),
        (replaced("farfield.imag", lambda values: values[:, :1]), "farfield.imag"),
        (both(lambda values: values[:, :0]), "holds no samples"),
        (both(np.zeros_like), None),
        (replaced("farfield.real", with_nan), "farfield.real of sample 1 holds values that are not finite"),
        (replaced("farfield.real", lambda values: values.astype("S4")), "expected real numbers"),
        (replaced("image", lambda values: values[:-1]), r"expected \(Ngrid\^2, 2\)"),
        (attribute(Ngrid=31), "with Ngrid = 31"),
        (attribute(Ngrid="thirty"), "Ngrid is 'thirty', expected a number"),
        (attribute(region_radius=0.0), "region's radius 0, expected positive"),
        (lambda file: (drop("image")(file), file.create_group("image")), "image is a group, expected a dataset"),
        (lambda file: file.create_dataset("polar", data=np.zeros((12, 2))), "polar is .* with the attribute shape"),
        (attribute(radius_mm=30.0), "plane_to_ras is damaged"),
        (attribute(radius_mm=30.0, plane_to_ras="here"), "plane_to_ras is damaged"),
    ],
)
def test_invalid_files_are_refused_with_a_message(
    how: Callable[[Any], None], words: str | None, tmp_path: Path
) -> None:
    path = change(as_the_generator_writes(tmp_path / "file.h5"), how)
    if words is None:  # objects that scatter nothing are possible, though odd
        assert "conservation" not in " ".join(read_far_fields(path).notes)
        return
    with pytest.raises(InputError, match=words) as raised:
        read_far_fields(path)
    assert "file.h5" in str(raised.value)
    assert raised.value.hint


def test_a_circle_without_repeated_direction_that_claims_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    as_the_generator_writes(path)
    theta = directions(40)
    far = np.stack([disc_far_field(K, scene, theta, theta).ravel() for scene in SCENES], axis=1)
    change(path, replaced("farfield.real", lambda _: far.real))
    change(path, replaced("farfield.imag", lambda _: far.imag))
    with pytest.raises(InputError, match="same by their angles, but their far fields differ by"):
        read_far_fields(path)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100])
def test_what_is_no_hdf5_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.h5").write_bytes(content)
    with pytest.raises(InputError, match="no readable HDF5 file"):
        read_far_fields(tmp_path / "file.h5")


@pytest.mark.parametrize(
    "how",
    [
        attribute(kappa=9.0),
        replaced("farfield.imag", lambda values: -values),
        replaced("farfield.imag", lambda values: 0 * values),
        both(lambda values: 3 * values),
    ],
)
def test_violated_energy_conservation_gives_a_note(how: Any, tmp_path: Path) -> None:
    path = change(as_the_generator_writes(tmp_path / "file.h5"), how)
    assert "conservation of energy" in " ".join(read_far_fields(path).notes)


def test_too_few_directions_give_a_note(tmp_path: Path) -> None:
    path = as_the_generator_writes(tmp_path / "file.h5", n=9)
    assert "8 directions are few for k = 8.48528" in " ".join(read_far_fields(path).notes)


# ---- what networks read


def test_energy_is_conserved_with_noise_too(measured: FarFieldData) -> None:
    assert energy_defect(measured.far_field.astype(complex), measured.k) < 1e-5
    noisy = measured.with_noise(0.1, 0.0, 1)
    assert energy_defect(noisy.far_field.astype(complex), measured.k) < 0.1


def test_noise_has_the_stated_size_and_repeats(measured: FarFieldData) -> None:
    for additive, multiplicative in ((0.1, 0.0), (0.0, 0.1)):
        noisy = measured.with_noise(additive, multiplicative, 3)
        gap = np.linalg.norm(noisy.far_field - measured.far_field, axis=(1, 2))
        assert gap / np.linalg.norm(measured.far_field, axis=(1, 2)) == pytest.approx(0.1, rel=0.15)
        again = measured.with_noise(additive, multiplicative, 3)
        np.testing.assert_array_equal(noisy.far_field, again.far_field)
        assert not np.array_equal(noisy.far_field, measured.with_noise(additive, multiplicative, 4).far_field)


def test_reciprocity_loses_nothing_of_exact_data_and_halves_noise(measured: FarFieldData) -> None:
    clean = to_midpoint(measured.far_field.astype(complex))
    half = average_reciprocal(clean)
    assert half.shape == (40, 32, 17)
    np.testing.assert_allclose(half, clean[:, :, :17], atol=1e-5)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape)
    kept = average_reciprocal(noise)[:, :, 1:16]
    assert np.var(kept) / np.var(noise) == pytest.approx(0.5, rel=0.05)


def test_channels_are_real_then_imaginary_parts_along_the_midpoint(measured: FarFieldData) -> None:
    midpoint = to_midpoint(measured.far_field)
    found = midpoint_channels(midpoint)
    assert found.shape == (40, 34, 32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 16], average_reciprocal(midpoint)[:, :, 16].real, atol=1e-6)
    np.testing.assert_allclose(found[:, 17 + 5], average_reciprocal(midpoint)[:, :, 5].imag, atol=1e-6)


def test_orders_that_no_object_of_the_region_has_are_removed_as_noise(measured: FarFieldData) -> None:
    theta = directions(measured.angles)
    noise = 0.1 * np.exp(1j * (14 * theta[:, None] + 2 * theta))  # at k = 3 the orders end at 9
    noisy = replace(measured, far_field=(measured.far_field + noise).astype(np.complex64))
    assert np.abs(to_midpoint(noisy.far_field) - to_midpoint(measured.far_field)).max() > 0.09
    np.testing.assert_allclose(noisy.midpoint(), measured.midpoint(), atol=1e-5)
