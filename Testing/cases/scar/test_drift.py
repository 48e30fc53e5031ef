"""Images whose intensities drift along the stack, as with a surface coil: healthy wall has a level per slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeprecon.scar.observe.healthy_level import find_drift

from .files import codes, scan
from .test_thresholds import healthy_heart, observed

CODE = "healthy-level-drifts"
UP, DOWN = np.linspace(1, 1.3, len(scan().wall)), np.linspace(1.3, 1, len(scan().wall))


def quiet_heart() -> np.ndarray:
    """The heart with its scar and little noise."""
    rng = np.random.default_rng(3)
    level = np.where(scan().scar, 330.0, np.where(scan().wall, 60.0, np.where(scan().blood, 230.0, 120.0)))
    return level + rng.normal(0, 4, level.shape)


def gained(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return np.rint(image * gain[:, None, None]).astype(np.int16)


@pytest.mark.parametrize("rule", ["nsd:5", "fwhm", "otsu"])
@pytest.mark.parametrize("gain", [UP, DOWN])
def test_a_gain_that_drifts_gives_the_same_scar(tmp_path: Path, rule: str, gain: np.ndarray) -> None:
    shares = []
    for name, image in (("steady", quiet_heart().astype(np.int16)), ("drifting", gained(quiet_heart(), gain))):
        code, result = observed(tmp_path / name, image, "--threshold", rule)
        assert (code, codes(result)) == (0, [CODE] if name == "drifting" else [])
        shares.append(result["metrics"]["observed_scar_percent"])
    assert shares[1] == pytest.approx(shares[0], abs=3)
    assert shares[0] == pytest.approx(100 * scan().scar.sum() / scan().wall.sum(), abs=4)
    assert "through the stack; each slice is measured from its own level" in result["doubts"][0]["text"]


@pytest.mark.parametrize("gain", [UP, DOWN])
def test_the_noisy_phantom_with_a_drifting_gain_gives_the_same_scar(tmp_path: Path, gain: np.ndarray) -> None:
    shares = []
    for name, image in (("steady", scan().lge), ("drifting", gained(scan().lge, gain))):
        _, result = observed(tmp_path / name, image)
        shares.append(result["metrics"]["observed_scar_percent"])
    assert shares[1] == pytest.approx(shares[0], abs=3)


@pytest.mark.parametrize("gain", [UP, DOWN])
def test_a_drift_in_a_heart_without_scar_is_no_scar(tmp_path: Path, gain: np.ndarray) -> None:
    image = gained(healthy_heart(deviation=3.0), gain)
    code, result = observed(tmp_path / "a", image, "--accept", CODE)
    assert (code, codes(result)) == (0, [CODE, "no-enhanced-wall"])
    assert result["metrics"]["observed_scar_percent"] < 0.5


def test_an_offset_that_drifts_is_no_scar_in_a_phase_sensitive_image(tmp_path: Path) -> None:
    offsets = np.linspace(-400, -250, len(scan().wall))[:, None, None]
    code, result = observed(tmp_path / "a", np.rint(3 * quiet_heart() + offsets).astype(np.int16))
    assert (code, codes(result)) == (0, [CODE])
    assert result["metrics"]["observed_scar_percent"] == pytest.approx(
        100 * scan().scar.sum() / scan().wall.sum(), abs=4
    )


def test_a_remote_region_in_one_slice_serves_a_drifting_stack(tmp_path: Path) -> None:
    remote = scan().wall & ~scan().scar & (np.arange(len(scan().wall)) == 1)[:, None, None]
    file = scan().write_segments(tmp_path / "remote.seg.nrrd", remote=remote)
    _, result = observed(tmp_path / "a", gained(quiet_heart(), DOWN), remote=file)
    assert codes(result) == [CODE]
    assert result["metrics"]["observed_scar_percent"] == pytest.approx(
        100 * scan().scar.sum() / scan().wall.sum(), abs=4
    )


WALL = np.ones((9, 12, 12))


def slices_of(levels: list[float], deviation: float = 5.0) -> np.ndarray:
    """(9, 12, 12) slices that are wall throughout, each with its level."""
    return np.array(levels)[:, None, None] + np.random.default_rng(0).normal(0, deviation, WALL.shape)


@pytest.mark.parametrize(
    "levels",
    [
        [60.0] * 9,
        [330.0, 330, 60, 60, 60, 60, 60, 60, 60],
        [330.0] * 4 + [60] * 5,
        [60, 63, 59, 62, 60, 58, 61, 60, 62],
        [330, 290, 250, 210, 60, 60, 60, 60, 60],
    ],
)
def test_scar_throughout_slices_is_no_drift(levels: list[float]) -> None:
    assert not find_drift(slices_of(levels), WALL, None)


def test_a_slice_full_of_scar_keeps_it_in_a_drifting_stack() -> None:
    levels = [60.0 + 4 * k for k in range(9)]
    levels[2] = 330
    drift = find_drift(slices_of(levels), WALL, None)
    np.testing.assert_allclose(drift.offsets - drift.offsets[4], 4.0 * np.arange(-4, 5), atol=3)


def test_a_slice_with_few_healthy_pixels_takes_the_level_of_the_stack() -> None:
    image = slices_of([60.0 + 4 * k for k in range(9)])
    wall = WALL.copy()
    wall[6, 3:] = 0  # 36 pixels remain, of which a third are half scar
    image[6, 0] += 40
    drift = find_drift(image, wall, None)
    np.testing.assert_allclose(drift.offsets - drift.offsets[4], 4.0 * np.arange(-4, 5), atol=3)


def test_remote_regions_show_the_drift_where_scar_hides_it() -> None:
    remote = np.zeros_like(WALL)
    remote[:, :4] = 1
    image = slices_of([60.0 + 4 * k for k in range(9)])
    image[:, 4:] += 270
    drift = find_drift(image, WALL, remote)
    np.testing.assert_allclose(drift.offsets - drift.offsets[4], 4.0 * np.arange(-4, 5), atol=2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_slices_have_no_drift(count: int) -> None:
    assert not find_drift(slices_of([60.0 + 20 * k for k in range(9)])[:count], WALL[:count], None)
