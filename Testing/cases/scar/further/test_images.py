"""Intensities whose zero means nothing, healthy walls, and NIfTI files as other programs write them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ..files import codes, run, scan, write_heart

RULES = "fwhm", "max:60", "otsu", "nsd:5"


def observed(folder: Path, lge: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """A run of `prepare` on an image."""
    wall = scan().write_segments(folder / "wall.seg.nrrd", Myocardium=scan().wall)
    files = {"lge": lge, "myocardium": wall, "mesh": write_heart(folder / "mesh.vtu")}
    return run("prepare", folder / "prepared", "--alignment", "off", "--slice-thickness", "8", *options, **files)


def percent(result: dict[str, Any]) -> float:
    value: float = result["metrics"]["observed_scar_percent"]
    return value


def nifti(path: Path, array: Any, slope: float | None = None, intercept: float = 0.0) -> Path:
    """A NIfTI file by nibabel; `array` as it is stored."""
    image = nibabel.Nifti1Image(array.T, scan().ijk_to_ras)
    image.set_sform(scan().ijk_to_ras, 1)
    image.set_qform(scan().ijk_to_ras, 1)
    image.header.set_xyzt_units("mm")
    if slope is not None:
        image.header.set_slope_inter(slope, intercept)
    nibabel.save(image, path)
    return path


def scaled_nifti(folder: Path) -> Path:
    """PSIR from -2048 on, stored as unsigned numbers with slope and intercept."""
    stored = np.clip((scan().lge + 1800.0) * 2, 0, 65535).astype(np.uint16)
    path = nifti(folder / "psir.nii.gz", stored)
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<2f", content, 112, 0.5, -2048.0)
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def centered(folder: Path) -> Path:
    """Unsigned numbers whose zero is 32768."""
    return scan().write(folder / "psir.nrrd", (scan().lge.astype(np.int32) + 32768).astype(np.uint16))


def fractions_of_one(folder: Path) -> Path:
    """Real numbers between -1 and 1, healthy wall at -0.6."""
    return scan().write(folder / "psir.nrrd", (scan().lge / 500.0 - 0.72).astype(np.float32))


def padded(folder: Path) -> Path:
    """An offset image with zeros around the heart, where someone has cut it out."""
    near = scan().wall | scan().blood
    return scan().write(folder / "psir.nrrd", np.where(near, scan().lge.astype(int) + 4096, 0).astype(np.int16))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("write", [scaled_nifti, centered, fractions_of_one, padded])
def test_the_zero_of_the_image_changes_nothing(tmp_path: Path, write: Callable[[Path], Path], rule: str) -> None:
    (tmp_path / "plain").mkdir()
    plain = scan().write(tmp_path / "plain" / "lge.nrrd", scan().lge)
    truth = percent(observed(tmp_path / "plain", plain, "--threshold", rule)[1])
    code, result = observed(tmp_path, write(tmp_path), "--threshold", rule)
    assert (code, codes(result)) == (0, [])
    assert percent(result) == pytest.approx(truth, abs=0.05)


# ---- hearts without scar


def rician() -> Any:
    """Magnitudes with much noise."""
    rng = np.random.default_rng(3)
    level = np.where(scan().wall, 80, np.where(scan().blood, 260, 130))
    return np.hypot(level + rng.normal(0, 25, level.shape), rng.normal(0, 25, level.shape)).astype(np.int16)


def negative() -> Any:
    """PSIR with healthy wall far below zero."""
    rng = np.random.default_rng(4)
    level = np.where(scan().wall, -300, np.where(scan().blood, 90, -20))
    return (level + rng.normal(0, 60, level.shape)).astype(np.float32)


def small() -> Any:
    """Real numbers around 0.1."""
    rng = np.random.default_rng(5)
    level = np.where(scan().wall, 0.1, np.where(scan().blood, 0.5, 0.25))
    return (level + rng.normal(0, 0.03, level.shape)).astype(np.float32)


def constant() -> Any:
    """A phantom without noise."""
    return np.where(scan().wall, 60, np.where(scan().blood, 230, 120)).astype(np.int16)


def by_slice() -> Any:
    """Slices with levels and noise of their own, as of several breath-holds."""
    rng = np.random.default_rng(6)
    gain = np.array([1, 1.3, 0.8, 1.1, 1.5, 0.9, 1.2, 0.7, 1.4])[: len(scan().wall), None, None]
    return (gain * (constant() + rng.normal(0, 15, scan().wall.shape))).astype(np.int16)


@pytest.mark.parametrize("rule", RULES[:3])
@pytest.mark.parametrize("image", [rician, negative, small, by_slice])
def test_a_heart_without_scar(
    tmp_path: Path, image: Callable[[], Any], rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = observed(tmp_path, scan().write(tmp_path / "lge.nrrd", image()), "--threshold", rule)
    if code == 2:
        assert "threshold-near-healthy" in capsys.readouterr().err
        return
    assert (code, codes(result)) == (0, ["no-enhanced-wall"])
    assert percent(result) == 0


# ---- NIfTI files


def labels() -> Any:
    return np.where(scan().scar, 3, np.where(scan().wall, 2, 0)).astype(np.uint8)


def content() -> bytes:
    """Header and labels of an uncompressed file."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return nifti(Path(folder) / "a.nii", labels()).read_bytes()


def big_endian(folder: Path) -> Path:
    image = nibabel.load(nifti(folder / "little.nii", labels()))
    header = image.header.as_byteswapped(">")
    nibabel.save(nibabel.Nifti1Image(labels().T, scan().ijk_to_ras, header), folder / "labels.nii.gz")
    return folder / "labels.nii.gz"


def blocks_of_gzip(folder: Path) -> Path:
    """As bgzip and parallel compressors write it: several members one after the other."""
    whole = content()
    parts = [whole[start : start + 30000] for start in range(0, len(whole), 30000)]
    (folder / "labels.nii.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    return folder / "labels.nii.gz"


def trailing_axis(folder: Path) -> Path:
    """A time axis of one step."""
    nibabel.save(nibabel.Nifti1Image(labels().T[..., None], scan().ijk_to_ras), folder / "labels.nii.gz")
    return folder / "labels.nii.gz"


def no_scaling(folder: Path) -> Path:
    """A slope that is not a number means no scaling."""
    raw = bytearray(content())
    struct.pack_into("<2f", raw, 112, float("nan"), float("nan"))
    (folder / "labels.nii").write_bytes(raw)
    return folder / "labels.nii"


def scaled_labels(folder: Path) -> Path:
    """Labels as multiples of a slope, as some editors store them."""
    raw = bytearray(content())
    struct.pack_into("<2f", raw, 112, 0.5, 0.0)
    (folder / "labels.nii").write_bytes(raw[:352] + (labels() * 2).tobytes())
    return folder / "labels.nii"


def upper_case(folder: Path) -> Path:
    (folder / "LABELS.NII").write_bytes(content())
    return folder / "LABELS.NII"


def second_version(folder: Path) -> Path:
    nibabel.save(nibabel.Nifti2Image(labels().T, scan().ijk_to_ras), folder / "labels.nii.gz")
    return folder / "labels.nii.gz"


@pytest.mark.parametrize(
    "write",
    [
        big_endian,
        blocks_of_gzip,
        trailing_axis,
        no_scaling,
        scaled_labels,
        upper_case,
        second_version,
    ],
)
def test_labels_in_a_nifti_file(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    file = write(tmp_path)
    files = {"scar": file, "myocardium": file, "mesh": write_heart(tmp_path / "mesh.vtu")}
    options = "--alignment", "off", "--slice-thickness", "8", "--labels", "scar=3", "myocardium=2"
    code, result = run("prepare", tmp_path / "prepared", *options, **files)
    assert code == 0
    truth = 100 * (scan().scar & scan().wall).sum() / scan().wall.sum()
    assert percent(result) == pytest.approx(truth, abs=0.05)


@pytest.mark.parametrize("length", [1.00001, 1.00004, 0.99998])
def test_a_quaternion_that_is_rounded(tmp_path: Path, length: float) -> None:
    """Half a turn about the long axis, whose quaternion has three components of length 1."""
    image = nibabel.Nifti1Image(labels().T, np.diag([-2.0, -2, 10, 1]))
    image.set_qform(np.diag([-2.0, -2, 10, 1]), 1)
    image.set_sform(None, 0)
    nibabel.save(image, tmp_path / "whole.nii")
    raw = bytearray((tmp_path / "whole.nii").read_bytes())
    struct.pack_into("<3f", raw, 256, 0, 0, length)
    file = tmp_path / "labels.nii"
    file.write_bytes(raw)
    options = "--slice-thickness", "8", "--labels", "scar=3", "myocardium=2", "--node-spacing", "6"
    code, result = run("prepare", tmp_path / "prepared", *options, scar=file, myocardium=file)
    assert code == 0
    truth = 100 * (scan().scar & scan().wall).sum() / scan().wall.sum()
    assert percent(result) == pytest.approx(truth, abs=0.05)


@pytest.mark.parametrize(
    ("name", "packed"), [("labels.nii", True), ("labels.nii.gz", False), ("labels.nrrd", False), ("labels.nrrd", True)]
)
def test_a_name_that_does_not_fit_the_content(
    tmp_path: Path, name: str, packed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(gzip.compress(content()) if packed else content())
    files = {"scar": file, "myocardium": file, "mesh": write_heart(tmp_path / "mesh.vtu")}
    options = "--alignment", "off", "--slice-thickness", "8", "--labels", "scar=3", "myocardium=2"
    code, result = run("prepare", tmp_path / "prepared", *options, **files)
    if code == 0:
        truth = 100 * (scan().scar & scan().wall).sum() / scan().wall.sum()
        assert percent(result) == pytest.approx(truth, abs=0.05)
        return
    said = capsys.readouterr().err
    assert code == 2
    assert name in said
    assert "is cut off or damaged" not in said
    assert "ending" in said or "compressed" in said


@pytest.mark.parametrize("cut", [400, 5000, 20000])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, cut: int, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "labels.nii"
    file.write_bytes(content()[:cut])
    files = {"scar": file, "myocardium": file, "mesh": write_heart(tmp_path / "mesh.vtu")}
    assert run("prepare", tmp_path / "out", "--labels", "scar=3", "myocardium=2", **files)[0] == 2
    assert "labels.nii" in capsys.readouterr().err
