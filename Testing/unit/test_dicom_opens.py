"""How often each DICOM file is opened in a run of every module, checksum included: at most twice."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

from deeprecon.ctpa.grid import PRESETS, Grid
from deeprecon.ctpa.parameters import Preset
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.data.dicom.objects.ct import write_ct_series
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.jobs.job import Job
from deeprecon.worker import run_job

from .data.dicom_files import write_xray
from .data.test_dwi_dicom import siemens_mosaics, write_enhanced

Opens = Counter[Path]
_counters: list[Opens] = []


def _record(path: Any) -> None:
    if _counters and isinstance(path, str | bytes | Path):
        _counters[-1][Path(path.decode() if isinstance(path, bytes) else path).absolute()] += 1


@pytest.fixture(scope="module", autouse=True)
def watched() -> None:
    """An audit hook cannot be removed: it counts while a test asks for it."""
    sys.addaudithook(lambda event, values: _record(values[0]) if event == "open" else None)


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opens]:
    """How often each file was opened, by Python or by SimpleITK, whose opens are not audited."""
    read, name_file = sitk.ReadImage, sitk.ImageFileReader.SetFileName

    def counted_read(path: Any, *rest: Any, **options: Any) -> Any:
        _record(path)
        return read(path, *rest, **options)

    def counted_name(reader: Any, path: Any) -> Any:
        _record(path)
        return name_file(reader, path)

    monkeypatch.setattr(sitk, "ReadImage", counted_read)
    monkeypatch.setattr(sitk.ImageFileReader, "SetFileName", counted_name)
    _counters.append(Counter())
    yield _counters[-1]
    _counters.pop()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Path]:
    """Runs a verb that must succeed; returns its output folder."""

    def run(name_of_method: str, verb: str, inputs: dict[str, Any], name: str = "out", **parameters: Any) -> Path:
        folder = tmp_path / name / ".job"
        # random voxels look like phases, and a ramp is no film of the chest in the CT
        accept = {"dwmri": ["phase-image"], "ctpa": ["pair-mismatch"]}.get(name_of_method, [])
        Job(name_of_method, verb, inputs, parameters, "..", "cpu", 1, "fp32", 0, accept).save(folder)
        assert run_job(folder) == 0, (folder / "events.jsonl").read_text(encoding="utf-8")
        return tmp_path / name

    return run


def check(opens: Opens, folder: Path, count: int) -> None:
    """`count` DICOM files of a folder were opened, once for the checksum and once to be read."""
    found = {path.name: times for path, times in opens.items() if path.is_relative_to(folder) and path.is_file()}
    assert len(found) == count
    assert set(found.values()) <= {1, 2}, found


def test_scar_reconstructs_from_a_series(opens: Opens, start: Callable[..., Path]) -> None:
    coarse = {"spacing": 14.0, "thickness": 10.0, "pixel": 3.0, "node_spacing": 4.0}
    made = start("scar", "phantom", {}, "made", dicom=True, lesion="wedge", **coarse)
    opens.clear()
    inputs = {"lge": [str(made / "dicom")], "myocardium": [str(made / "segmentation.seg.nrrd")],
              "mesh": str(made / "mesh.vtu")}  # fmt: skip
    start("scar", "reconstruct", inputs, threshold="fwhm", method="interpolation")
    check(opens, made / "dicom", len(list((made / "dicom").iterdir())))
    assert opens[made / "segmentation.seg.nrrd"] == 2


@pytest.mark.parametrize("kind", ["file", "folder", "compressed"])
def test_ctpa_synthesizes_from_an_x_ray(
    opens: Opens, start: Callable[..., Path], tmp_path: Path, shared_data: Path, kind: str
) -> None:
    from .ctpa.tiny_bundle import make_bundle

    bundle, films = make_bundle(tmp_path / "tiny"), tmp_path / "films"
    films.mkdir()
    if kind == "compressed":
        path = films / "x.dcm"
        path.write_bytes((shared_data / "ctpa" / "nema_wg4_RG1_J2KI_chest_pa_monochrome1.dcm").read_bytes())
    else:
        path = write_xray(films / "x.dcm", ImagerPixelSpacing=[4.5, 4.5])
    opens.clear()
    given = films if kind == "folder" else path
    start("ctpa", "synthesize", {"xray": str(given), "bundle": str(bundle)}, steps=2, samples=1)
    check(opens, films, 1)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_ctpa_prepares_a_ct_series(
    opens: Opens, start: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    grid = Grid((20, 16, 18))
    monkeypatch.setitem(PRESETS, Preset.PREVIEW, grid)
    files = write_ct_series(tmp_path / "ct", Volume(draw_grid(make_anatomy(4), grid)[0], grid.affine()), {})
    write_xray(tmp_path / "x.dcm", ViewPosition="AP", ImagerPixelSpacing=[4.5, 4.5])
    rows = [{"patient": "a", "ct": files[3] if kind == "file" else tmp_path / "ct", "xray": tmp_path / "x.dcm"}]
    write_table(tmp_path / "manifest.csv", rows)
    opens.clear()
    start("ctpa", "prepare", {"manifest": str(tmp_path / "manifest.csv")}, validation=0.0, test=0.0)
    check(opens, tmp_path / "ct", len(files))
    assert opens[tmp_path / "x.dcm"] == 2


@pytest.mark.parametrize("kind", ["mosaic", "enhanced"])
@pytest.mark.parametrize("given", ["folder", "file"])
def test_dwmri_reads_a_series(opens: Opens, start: Callable[..., Path], tmp_path: Path, kind: str, given: str) -> None:
    folder = tmp_path / "scan"
    if kind == "mosaic":
        siemens_mosaics(folder)
    else:
        write_enhanced(folder, True, 3)
    files = sorted(folder.iterdir())
    opens.clear()
    start("dwmri", "export", {"dwi": str(files[0] if given == "file" else folder)})
    check(opens, folder, len(files))


def test_readers_of_the_panels(opens: Opens, scene: Any, tmp_path: Path) -> None:
    from deeprecon.data.diffusion.files import read_dwi
    from deeprecon.scene.ctpa.xray import open_xray, radiograph_of
    from deeprecon.scene.ctpa.xray import write_xray as copy_xray

    write_enhanced(tmp_path / "scan", True, 3)
    path = write_xray(tmp_path / "x.dcm")
    (tmp_path / "job").mkdir()
    opens.clear()
    read_dwi(next((tmp_path / "scan").iterdir()))
    check(opens, tmp_path / "scan", 3)
    node = open_xray(path)
    assert opens[path] == 1
    opens.clear()
    radiograph_of(node)
    assert opens[path] <= 2
    opens.clear()
    copy_xray(node, tmp_path / "job")
    assert opens[path] <= 2
