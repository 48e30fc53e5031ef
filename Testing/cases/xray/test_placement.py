"""CTs whose lungs do not lie in the middle of the scan, and scans that do not fill the field of view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from deeprecon.ctpa.grid import PRESETS, Grid, resample
from deeprecon.ctpa.observe.lungs import lung_center
from deeprecon.ctpa.observe.placement import known_pixels, known_voxels, place
from deeprecon.ctpa.observe.projection import Geometry, expose, gaussian_blur
from deeprecon.ctpa.parameters import PrepareInputs, PrepareParameters
from deeprecon.ctpa.training.denoising import known_of, latent_statistics, relative_error
from deeprecon.ctpa.training.patch_batches import StorePatches
from deeprecon.ctpa.training.preparation import prepare
from deeprecon.ctpa.training.store import Case, Store
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.run import Run, SilentReporter

Hu = npt.NDArray[np.int16]
GRID = Grid((152, 128, 128))
MIDDLE = np.array([20.0, -60.0, 900.0])
"""Of the lungs, RAS mm."""


def scan(
    above: float = 200.0, below: float = 200.0, across: float = 400.0, voxel: float = 5.0, lungs: float = -860.0
) -> Volume:
    """A body with lungs of 240 mm, a heart, a table, and gas in the bowel; extents are from the lungs' middle."""
    z, y, x = (
        np.arange(-low + voxel / 2, high, voxel)
        for low, high in ((below, above), (across / 2, across / 2), (across / 2, across / 2))
    )
    z, y, x = (axis.reshape(shape) for axis, shape in zip((z, y, x), ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True))
    hu = np.full(np.broadcast_shapes(z.shape, y.shape, x.shape), -1000.0)
    hu[np.broadcast_to((x / 165) ** 2 + (y / 115) ** 2 < 1, hu.shape)] = 40
    for center in (-70, 70):
        hu[((x - center) / 50) ** 2 + (y / 75) ** 2 + (z / 120) ** 2 < 1] = lungs
    hu[((x - 15) / 45) ** 2 + ((y + 20) / 45) ** 2 + ((z + 50) / 50) ** 2 < 1] = 300
    hu[(x / 18) ** 2 + ((y - 75) / 18) ** 2 + 0 * z < 1] = 600
    hu[((x + 60) / 40) ** 2 + ((y + 40) / 40) ** 2 + ((z + 250) / 40) ** 2 < 1] = -1000
    hu[np.broadcast_to((np.abs(y - 140) < 10) & (np.abs(x) < 180), hu.shape)] = -100
    noisy = hu + np.random.default_rng(1).normal(0, 10, hu.shape)
    affine = np.diag([-voxel, -voxel, voxel, 1.0])
    affine[:3, 3] = MIDDLE + 0.5 * np.array([across - voxel, across - voxel, voxel - 2 * below])
    return Volume(np.clip(noisy, -1024, 3000).astype(np.int16), affine, "ct.nii.gz")


@pytest.mark.parametrize(
    "volume",
    [scan(), scan(above=180, below=480), scan(above=420, below=150), scan(across=340), scan(voxel=3.0, below=300)],
    ids=["middle", "with the abdomen", "with the head", "narrow", "fine"],
)
def test_the_lungs_lie_in_the_middle_of_the_field(volume: Volume) -> None:
    np.testing.assert_allclose(place(volume, GRID).center, MIDDLE, atol=5)


def test_a_synthetic_ct_stays_where_it_is_wherever_its_lungs_lie() -> None:
    shifted = Volume(place(scan(), GRID, (0.0, 0.0, 60.0)).hu, GRID.affine(), "ct.nii.gz")
    assert np.linalg.norm(place(shifted, GRID).center) > 50
    np.testing.assert_allclose(place(shifted, GRID, synthetic=True).center, 0, atol=1e-6)


def test_in_every_axis_order() -> None:
    volume = scan(above=180, below=480)
    turn = np.array([[0, 0, -1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    turn[0, 3] = volume.array.shape[0] - 1
    array = np.ascontiguousarray(np.flip(volume.array.transpose(1, 2, 0), 2))
    other = Volume(array, volume.ijk_to_ras @ np.linalg.inv(_swap(volume)), "turned.nii.gz")
    np.testing.assert_allclose(place(other, GRID).center, MIDDLE, atol=5)


def _swap(volume: Volume) -> npt.NDArray[np.float64]:
    """From (i, j, k) of a volume to those of its array transposed to (j, i, k) with k reversed."""
    matrix = np.zeros((4, 4))
    matrix[0, 2], matrix[0, 3] = -1, volume.array.shape[0] - 1
    matrix[1, 0] = matrix[2, 1] = matrix[3, 3] = 1
    return matrix


def test_without_lungs_the_middle_of_the_scan_is_assumed_and_said() -> None:
    volume = scan(lungs=40.0, above=250)
    placed = place(volume, GRID)
    assert lung_center(volume) is None
    np.testing.assert_allclose(placed.center, MIDDLE + np.array([0, 0, 25]))
    assert [(doubt.code, doubt.assumed) for doubt in placed.doubts] == [("lungs-not-found", True)]
    assert place(scan(), GRID).doubts == ()


def test_what_lies_outside_of_the_scan_is_unknown_not_air() -> None:
    placed = place(scan(above=130, below=130), GRID)
    assert [(doubt.code, doubt.assumed) for doubt in placed.doubts] == [("ct-partial", True)]
    z = GRID.axes()[0]
    shown = np.abs(z) <= 130
    assert placed.known.shape == GRID.shape
    assert not placed.known[~shown].any()
    assert placed.known[np.abs(z) < 130 - 8 * GRID.spacing[2]].all()
    assert (placed.hu[:, 64, 64][~shown] > -200).all()  # the body is continued: no black frame


def test_rays_through_the_unknown_are_no_pixels() -> None:
    """The projection of a scan that is cut at both ends does not fade there, and a narrow one loses nothing."""
    geometry = Geometry()
    placed = place(scan(above=130, below=130), GRID)
    pixels = known_pixels(placed, GRID, geometry)
    assert pixels[40:112].all()
    assert not pixels[:12].any()
    assert not pixels[-12:].any()
    narrow = place(scan(across=330), GRID)
    assert not narrow.known.all()
    assert known_pixels(narrow, GRID, geometry)[40:112, 20:-20].all()


def test_known_voxels_of_a_latent_lie_in_known_blocks_alone() -> None:
    blocks = np.ones((19, 16, 16), bool)
    blocks[:3] = False
    assert known_voxels(blocks, (152, 128, 128), (19, 16, 16)).sum() == 16 * 16 * 16
    assert known_voxels(blocks, (152, 128, 128), (38, 32, 32))[:, 0, 0].tolist() == [False] * 6 + [True] * 32
    coarse = known_voxels(blocks, (152, 128, 128), (8, 8, 8))  # the second has voxels 19 to 37
    assert coarse[:, 0, 0].tolist() == [False, False] + [True] * 6


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A whole and a partial CT, prepared without X-rays."""
    monkeypatch.setitem(PRESETS, "preview", GRID)
    for name, volume in (("whole", scan()), ("part", scan(above=120, below=120))):
        write_volume(tmp_path / f"{name}.nii.gz", volume)
    (tmp_path / "manifest.csv").write_text("patient,ct\na,whole.nii.gz\nb,part.nii.gz\n", encoding="utf-8")
    output = tmp_path / "out"
    output.mkdir()
    run = Run(tmp_path, output, "cpu", 1, "fp32", 0, SilentReporter())
    prepare(PrepareInputs(tmp_path / "manifest.csv"), PrepareParameters(validation=0, test=0), run)
    assert [doubt.code for doubt in run.doubts] == ["ct-partial"]
    return Store.open(output)


def test_prepare_keeps_what_is_known(store: Store) -> None:
    whole, part = store.cases()
    assert whole.known().all()
    assert not (whole.folder / "known.npy").exists()
    assert 0.5 < part.known().mean() < 0.7
    assert any("is unknown" in note for note in part.notes)
    rows = part.xray()[:, 40:90].mean(axis=1)
    assert rows[0] == pytest.approx(rows[15], abs=0.3)  # continued, not faded to air


def test_patches_of_an_autoencoder_show_the_scan_alone(store: Store) -> None:
    part = store.cases()[1]
    shown = np.where(part.known(), np.int16(1), np.int16(0))
    recorded: list[Any] = []

    class Recorder(Case):
        def patch(self, where: Any) -> Hu:
            recorded.append(shown[where])
            return super().patch(where)

    case = Recorder(**{name: getattr(part, name) for name in part.__dataclass_fields__})
    StorePatches([case], 32, 0)(np.arange(20))
    assert all(values.all() for values in recorded)
    with pytest.raises(InputError, match=r"case_00002\) fills no patch.*--patch"):
        StorePatches([case], 128, 0)(np.arange(1))


class _Partial:
    """A latent whose lower half is not known, and would be of a million."""

    geometry = Geometry()

    def __init__(self, wrong: float) -> None:
        self._latent = np.random.default_rng(0).normal(size=(2, 8, 4, 4)).astype(np.float32)
        self._latent[:, :4] = wrong

    def latent(self) -> Any:
        return self._latent

    def known(self, shape: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
        known = np.ones(shape, bool)
        known[: shape[0] // 2] = False
        return known


def test_unknown_latents_enter_neither_statistics_nor_loss() -> None:
    values = [latent_statistics([_Partial(wrong)]) for wrong in (0.0, 1e6)]
    for one, other in zip(*values, strict=True):
        torch.testing.assert_close(one, other)

    target = torch.randn(1, 2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    target[:, :, :4] = 1e6
    known = known_of(_Partial(0.0), target)[None]
    assert float(relative_error(0 * target, target, known)) == pytest.approx(1.0)
    assert float(relative_error(torch.where(known > 0, target, 0), target, known)) == 0
    assert float(relative_error(target, target, 0 * known)) == 0


def test_a_crop_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match=r"it is a crop.*"):
        place(scan(above=80, below=80), GRID)
    with pytest.raises(InputError, match="it is a crop"):  # as long as the field, but the lungs lie at its end
        resample(scan(above=0, below=380), GRID, MIDDLE + np.array([0, 0, 30]))


def test_scatter_is_added_once() -> None:
    intensity = np.exp(-np.linspace(0.5, 5, 40))[:, None] * np.ones((1, 50))
    found = expose(-np.log(intensity).astype(np.float32), np.random.default_rng(0), 0, 0.4, 0, 0)
    expected = intensity + 0.4 * gaussian_blur(intensity, 4.0)
    np.testing.assert_allclose(found, -np.log(expected), atol=1e-5)
