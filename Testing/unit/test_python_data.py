"""Data given to a call as arrays give what their files give, and results come back as arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import deeprecon
from deeprecon import cli
from deeprecon.ctpa.api import _save_picture
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.radiograph import read_radiograph
from deeprecon.scattering.read.far_field_file import read_far_fields

ONE_THREAD = {"device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    small = {"columns": 20, "rows": 20, "slices": 6, "shells": "1000:12"}
    return dict(deeprecon.dwmri.phantom(**small, output=tmp_path_factory.mktemp("head")).outputs)


@pytest.fixture(scope="module")
def enhanced(head: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> deeprecon.dwmri.EnhancedScan:
    return deeprecon.dwmri.enhance(
        dwi=head["dwi"], method="pca", **ONE_THREAD, output=tmp_path_factory.mktemp("enhanced")
    )


def test_a_call_gives_the_bits_of_the_shell(
    head: dict[str, Path], enhanced: deeprecon.dwmri.EnhancedScan, tmp_path: Path
) -> None:
    arguments = ["dwmri", "enhance", "--dwi", str(head["dwi"]), "--method", "pca", "--device", "cpu", "--threads", "1"]
    assert cli.main([*arguments, "--output", str(tmp_path / "shell")]) == cli.DONE
    shell, python = (
        json.loads((folder / "result.json").read_text(encoding="utf-8"))
        for folder in (tmp_path / "shell", enhanced.folder)
    )
    for part in ("outputs", "metrics", "doubts"):
        assert python[part] == shell[part]


def test_a_scan_from_arrays_gives_what_its_files_give(
    head: dict[str, Path], enhanced: deeprecon.dwmri.EnhancedScan
) -> None:
    stored = deeprecon.read_dwi(head["dwi"])
    bvals, bvecs = (np.loadtxt(head[kind]) for kind in ("bval", "bvec"))
    scans = [
        deeprecon.DwiScan.from_fsl(stored.array, stored.ijk_to_ras, bvals, vectors) for vectors in (bvecs, bvecs.T)
    ]
    assert np.array_equal(scans[0].gradients.directions, scans[1].gradients.directions)
    found = deeprecon.dwmri.enhance(dwi=scans[0], method="pca", **ONE_THREAD)
    assert np.array_equal(found.scan.array, enhanced.scan.array)
    assert np.allclose(found.scan.gradients.directions, stored.gradients.directions, atol=1e-7)
    for volume in (found.mask, found.noise, found.uncertainty, found.fa, found.md):
        assert volume is not None
        assert volume.array.shape == stored.shape


@pytest.mark.parametrize(("bvals", "bvecs"), [((0, 1000), np.eye(3)), (np.zeros((2, 2)), np.eye(3)[:, :2])])
def test_gradients_that_do_not_fit_an_array_are_refused(bvals: object, bvecs: object) -> None:
    with pytest.raises(InputError):
        deeprecon.DwiScan.from_fsl(np.arange(24.0).reshape(2, 3, 2, 2), np.eye(4), bvals, bvecs)


def test_a_heart_from_arrays_gives_what_its_files_give(tmp_path: Path) -> None:
    case = deeprecon.scar.phantom(spacing=16, pixel=3, node_spacing=5, output=tmp_path).outputs
    settings = {"threshold": "fwhm", "method": "interpolation", "alignment": "off"}
    files = deeprecon.scar.reconstruct(mesh=case["mesh"], lge=case["lge"], myocardium=case["segmentation"], **settings)
    mesh = place(read_mesh(case["mesh"]), "mm", "lps")
    arrays = deeprecon.scar.reconstruct(
        mesh=mesh,
        lge=deeprecon.read_volume(case["lge"]),
        myocardium=deeprecon.read_segmentation(case["segmentation"]),
        **settings,
    )
    assert np.array_equal(arrays.probability, files.probability)
    assert np.array_equal(arrays.uncertainty, files.uncertainty)
    assert np.allclose(arrays.mesh.points, mesh.points, atol=1e-4)
    assert "Scar core by probability" in files.segmentation.names


def test_meshes_are_made_of_triangles_or_tetrahedra() -> None:
    points = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    surface = deeprecon.Mesh.from_arrays(points, [[0, 1, 2], [0, 1, 3]])
    assert (surface.n_points, surface.n_cells, surface.is_volume) == (4, 2, False)
    volume = deeprecon.Mesh.from_arrays(points, [[0, 1, 2, 3]])
    assert (volume.n_points, volume.n_cells, volume.is_volume) == (4, 1, True)
    for wrong in ([[0, 1]], [[0, 1, 4]], [[0, 1, -1]], [[0.0, 1.0, 2.0]], []):
        with pytest.raises(InputError):
            deeprecon.Mesh.from_arrays(points, wrong)


def test_far_fields_from_arrays_give_what_their_file_gives(tmp_path: Path) -> None:
    made = deeprecon.scattering.phantom(count=2, k=4, rings=16)
    stored = read_far_fields(made.outputs["data"])
    data = deeprecon.scattering.FarFieldData(stored.far_field, stored.k)
    settings = {"rings": 16, "grid": 32, "misfits": 0, "radius": 50}
    files, arrays = (deeprecon.scattering.reconstruct(given, **settings) for given in (made.outputs["data"], data))
    assert np.array_equal(arrays.polar, files.polar)
    assert arrays.contrast.array.shape == (2, 32, 32)


def test_samples_from_arrays_give_what_their_file_gives(tmp_path: Path) -> None:
    recording = deeprecon.seizure.phantom(users=1, seizures=1, minutes=1, recording=0.05).outputs["recording"]
    samples = np.loadtxt(recording, delimiter=",", skiprows=1)
    files, arrays = (
        np.load(deeprecon.seizure.prepare(given, user="1").outputs["data"], allow_pickle=False)
        for given in (recording, samples)
    )
    assert set(files.files) == set(arrays.files)
    for name in set(files.files) - {"about"}:  # the names of the recordings
        assert np.array_equal(files[name], arrays[name]), name
    with pytest.raises(InputError, match=r"Give \(N, 4\) numbers"):
        deeprecon.seizure.prepare(samples[:, :3], user="1")


def test_an_image_from_an_array_is_taken_as_it_is_seen(tmp_path: Path) -> None:
    pixels = np.arange(64 * 70, dtype=np.uint16).reshape(64, 70)
    film = read_radiograph(_save_picture(tmp_path / "xray", pixels))
    assert film.image.shape == (64, 70)
    assert film.image[0, 0] == 0
    assert film.image[-1, -1] == 1
    assert film.image[0, -1] < film.image[-1, 0], "rows and columns are not exchanged"
    assert film.spacing is None
    assert not film.header
    with pytest.raises(InputError, match=r"\(rows, columns\)"):
        deeprecon.ctpa.synthesize(np.zeros((4, 64, 64)))
