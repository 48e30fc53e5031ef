"""Tables as scanners and converters write them: GE's b-values, b0 of 60, averages, volumes to leave out."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.gradients import Choices, gradient_table
from deeprecon.data.doubts import CODES
from deeprecon.data.errors import InputError

from .files import codes, head, result, runner, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return head()


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


def table_codes(b, directions, **choices) -> set[str]:
    return {doubt.code for doubt in gradient_table(b, directions, choices=Choices(**choices)).doubts}


def test_every_code_has_a_meaning():
    assert {"ge-b-values", "b0-threshold", "trace-volume"} <= set(CODES)


def test_usual_tables_raise_no_doubt(made):
    assert made.clean.gradients.doubts == ()
    assert table_codes([1000, 5, 20, 0], np.eye(4, 3)) == set()


# GE's b-values


def test_the_offset_of_ge_is_taken_off_and_named(made, run, tmp_path):
    b = made.clean.gradients.bvals
    path = write_scan(tmp_path, made.noisy.array, np.where(b > 0, b + 1e9, b), vectors(made))
    code, output = run("enhance", "--dwi", path, "--method", "pca")
    assert code == 0
    assert codes(output) == {"ge-b-values"}
    assert result(output)["metrics"]["shells"] == "15 x 1000"
    assert 2e-4 < result(output)["metrics"]["mean_md_after"] < 3e-3
    np.testing.assert_allclose(read_dwi(output / "dwi.nii.gz").gradients.bvals, b)
    assert read_dwi(output / "dwi.nii.gz").doubts == ()


@pytest.mark.parametrize("b", [2e5, 1e8, 5e9])
def test_b_values_beyond_any_scanner_are_refused(b, made, run, tmp_path, capsys):
    bvals = np.where(made.clean.gradients.bvals > 0, b, 0)
    path = write_scan(tmp_path, made.noisy.array, bvals, vectors(made))
    assert run("prepare", "--dwi", path)[0] == 2
    message = capsys.readouterr().err
    assert "dwi.bvec" in message
    assert "beyond any scanner's" in message


# b0 of 55 to 65


def b0_near_60(made):
    b, g = made.clean.gradients.bvals.copy(), vectors(made).copy()
    g[b == 0], b[b == 0] = [0.6, 0, 0.8], [60, 65, 55]
    return b, g


def test_the_lowest_shell_counts_as_b0_where_there_is_none(made, run, tmp_path):
    path = write_scan(tmp_path, made.noisy.array, *b0_near_60(made))
    code, output = run("enhance", "--dwi", path, "--method", "pca")
    assert code == 0
    assert codes(output) == {"b0-threshold"}
    figures = result(output)["metrics"]
    assert (figures["b0_volumes"], figures["shells"]) == (3, "15 x 1000")


def test_the_threshold_can_be_set(made, run, tmp_path):
    path = write_scan(tmp_path, made.noisy.array, *b0_near_60(made))
    code, output = run("prepare", "--dwi", path, "--b0-threshold", 70)
    assert code == 0
    assert codes(output) == set()
    assert result(output)["metrics"]["b0_volumes"] == 3


def test_a_shell_above_100_or_beside_b0_is_none():
    directions = np.eye(4, 3)
    directions[3] = [0.6, 0.8, 0]
    assert not gradient_table([150, 150, 1000, 1000], directions).b0.any()
    assert gradient_table([0, 60, 1000, 1000], directions).b0.tolist() == [True, False, False, False]
    assert gradient_table([60, 100, 1000, 1000], directions).b0.tolist() == [True, False, False, False]
    assert not gradient_table([60, 62, 65, 60], directions).b0.any()  # of a single shell


# averages over the directions, and volumes to leave out


def with_average(made, array=None):
    table = made.clean.gradients
    average = made.noisy.array[..., ~table.b0].mean(axis=-1, keepdims=True)
    array = np.concatenate([made.noisy.array, average], axis=-1)
    return array, np.append(table.bvals, 1000), np.vstack([vectors(made), np.zeros(3)])


def test_an_average_that_the_scanner_appended_is_left_out_and_named(made, run, tmp_path):
    path = write_scan(tmp_path, *with_average(made))
    code, output = run("enhance", "--dwi", path, "--method", "pca")
    assert code == 0
    assert codes(output) == {"trace-volume"}
    found = read_dwi(output / "dwi.nii.gz")
    assert found.array.shape[-1] == 18
    np.testing.assert_allclose(found.gradients.directions, read_dwi(path).gradients.directions, atol=1e-6)


@pytest.mark.parametrize("option", ["18", "18,3"])
def test_volumes_are_left_out_when_asked(option, made, run, tmp_path):
    array, b, g = with_average(made)
    path = write_scan(tmp_path, array, b, g)
    kept = np.setdiff1d(np.arange(19), [int(number) for number in option.split(",")])
    for verb in ("prepare", "export"):
        code, output = run(verb, "--dwi", path, "--exclude", option, name=verb)
        assert code == 0
        assert codes(output) == set()
    found = read_dwi(output / "dwi.nrrd")
    np.testing.assert_array_equal(found.array, array[..., kept])
    np.testing.assert_allclose(found.gradients.bvals, b[kept], atol=0.01)
    with open(tmp_path / "prepare" / "volumes.csv", encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == len(kept)


def test_a_volume_to_replace_keeps_its_number_beside_those_left_out(made, run, tmp_path, capsys):
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    options = ("--dwi", path, "--method", "pca", "--exclude", "4")
    code, _output = run("enhance", *options, "--impute", "7")
    assert code == 0
    assert "volumes 6 were replaced" in " ".join(capsys.readouterr().err.split())
    assert run("enhance", *options, "--impute", "4", name="both")[0] == 2


def test_a_direction_that_is_missing_elsewhere_is_refused_with_the_way_out(made, run, tmp_path, capsys):
    g = vectors(made).copy()
    number = int(np.flatnonzero(~made.clean.gradients.b0)[5])
    g[number] = 0
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, g)
    assert run("prepare", "--dwi", path)[0] == 2
    message = capsys.readouterr().err
    assert f"volume {number} has a b-value but no direction" in message
    assert f"--exclude {number}" in message
    assert run("prepare", "--dwi", path, "--exclude", number, name="without")[0] == 0
    assert run("prepare", "--dwi", path, "--exclude", "99", name="none")[0] == 2


def test_an_average_is_the_last_of_its_shell_and_the_only_one():
    one, other = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    table = gradient_table([0, 1000, 1000, 1000, 2000, 2000], [0 * one, one, other, 0 * one, one, 0 * one])
    assert table.left_out == (3, 5)
    for b, directions in (([1000] * 4, [one, other, 0 * one, 0 * one]), ([1000] * 3, [0 * one, one, other])):
        with pytest.raises(InputError, match="no direction"):
            gradient_table(b, directions)


def test_export_takes_the_files_of_the_table(made, run, tmp_path):
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    turned = (tmp_path / "dwi.bvec").rename(tmp_path / "dwi.eddy_rotated_bvecs")
    bval = (tmp_path / "dwi.bval").rename(tmp_path / "elsewhere")
    assert run("export", "--dwi", path)[0] == 2
    code, output = run("export", "--dwi", path, "--bvec", turned, "--bval", bval)
    assert code == 0
    expected = read_dwi(path, bval, turned).gradients
    np.testing.assert_allclose(read_dwi(output / "dwi.nrrd").gradients.directions, expected.directions, atol=1e-6)
