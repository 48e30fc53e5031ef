"""Thresholds where the image's zero means nothing, and where there is no scar to separate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeprecon.scar.observe.populations import are_two_populations

from .files import codes, run, scan, write_heart

RULES = "fwhm", "max:60", "nsd:5", "otsu"
RELATIVE = "fwhm", "max:60", "otsu"


def observed(folder: Path, lge: np.ndarray, *options: str, **files: Path) -> tuple[int, dict]:
    """A run of `prepare` on an image."""
    folder.mkdir()
    wall = scan().write_segments(folder / "wall.seg.nrrd", myocardium=scan().wall)
    image, mesh = (scan().write(folder / "lge.nrrd", lge), write_heart(folder / "mesh.vtu"))
    return run(
        "prepare", folder / "out", "--alignment", "off", *options, lge=image, myocardium=wall, mesh=mesh, **files
    )


def healthy_heart(deviation: float = 18.0) -> np.ndarray:
    """The heart without any scar."""
    rng = np.random.default_rng(1)
    level = np.where(scan().wall, 60, np.where(scan().blood, 230, 120))
    return (level + rng.normal(0, deviation, level.shape)).astype(np.int16)


@pytest.mark.parametrize("rule", RULES)
def test_an_offset_of_the_image_changes_nothing(tmp_path: Path, rule: str) -> None:
    shares = []
    for number, offset in enumerate((0, 4096, -250)):
        code, result = observed(
            tmp_path / str(number), (scan().lge + float(offset)).astype(np.int16), "--threshold", rule
        )
        assert (code, codes(result)) == (0, [])
        shares.append(result["metrics"]["observed_scar_percent"])
    truth = 100 * scan().scar.sum() / scan().wall.sum()
    assert shares == pytest.approx([shares[0]] * 3, abs=0.05)
    assert shares[0] == pytest.approx(truth, abs=4)


def test_scar_and_core_from_an_image_with_an_offset(tmp_path: Path) -> None:
    code, _ = observed(tmp_path / "a", scan().lge + 4096, "--threshold", "max:40", "--core-threshold", "max:60")
    assert code == 0


@pytest.mark.parametrize("rule", RELATIVE)
def test_without_enhanced_wall_there_is_no_scar_and_the_result_says_so(tmp_path: Path, rule: str) -> None:
    code, result = observed(tmp_path / "a", healthy_heart(), "--threshold", rule)
    assert (code, codes(result)) == (0, ["no-enhanced-wall"])
    assert "No enhanced wall found" in result["doubts"][0]["text"]
    assert result["metrics"]["observed_scar_percent"] == 0


def test_standard_deviations_need_no_scar(tmp_path: Path) -> None:
    code, result = observed(tmp_path / "a", healthy_heart(), "--threshold", "nsd:5")
    assert (code, codes(result)) == (0, [])
    assert result["metrics"]["observed_scar_percent"] < 0.5


def dark_heart() -> np.ndarray:
    """A heart without scar whose wall is noise alone: skewed, so that two populations describe it better than one."""
    parts = np.random.default_rng(2).normal(0, 20, (2, *scan().wall.shape))
    return np.hypot(*parts).astype(np.int16)


@pytest.mark.parametrize("rule", ["fwhm", "otsu"])
def test_a_threshold_near_healthy_wall_is_refused(
    tmp_path: Path, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = observed(tmp_path / "a", dark_heart(), "--threshold", rule)
    said = capsys.readouterr().err
    assert code == 2
    assert f"lge.nrrd: The threshold {rule} is an intensity of" in said
    assert "nsd:5" in said
    assert "--accept threshold-near-healthy" in said


def test_a_threshold_near_healthy_wall_can_be_accepted(tmp_path: Path) -> None:
    options = "--threshold", "fwhm", "--accept", "threshold-near-healthy"
    code, result = observed(tmp_path / "a", dark_heart(), *options)
    assert (code, codes(result)) == (0, ["threshold-near-healthy"])
    assert result["metrics"]["observed_scar_percent"] > 5


def test_a_level_that_drifts_through_the_stack_is_no_scar(tmp_path: Path) -> None:
    lift = np.linspace(0, 60, len(scan().wall))[:, None, None]
    code, result = observed(tmp_path / "a", (healthy_heart() + lift).astype(np.int16), "--threshold", "fwhm")
    assert (code, codes(result)) == (0, ["healthy-level-drifts", "no-enhanced-wall"])


@pytest.mark.parametrize(("share", "apart"), [(0.01, 8), (0.1, 5), (0.5, 4), (0.9, 6)])
def test_two_populations_are_recognized(share: float, apart: float) -> None:
    values = np.random.default_rng(0).normal(0, 1, 3000)
    values[: round(share * len(values))] += apart
    assert are_two_populations(values)


@pytest.mark.parametrize("share", [0.01, 0.4, 0.5, 0.9])
def test_two_populations_without_noise_are_recognized(share: float) -> None:
    values = np.full(1000, 80.0)
    values[: round(share * len(values))] = 300
    assert are_two_populations(values)


@pytest.mark.parametrize("seed", range(5))
def test_one_population_is_not_divided(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert not are_two_populations(rng.normal(100, 20, 3000).round())
    assert not are_two_populations(rng.normal(0, 1, 40))
