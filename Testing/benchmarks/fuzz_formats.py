"""Small valid files of every format that the library reads, and how each is read, for `fuzz.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import common  # noqa: F401 the library's path
import numpy as np
from fuzz_format import FileFormat
from fuzz_recordings import RECORDINGS


def _volume() -> Any:
    from deeprecon.data.volume import Volume

    array = np.random.default_rng(0).integers(0, 1000, (4, 6, 5)).astype(np.int16)
    return Volume(array, np.diag([1.2, 1.2, 8.0, 1.0]))


def _write_volume(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from deeprecon.data.volume_io import write_volume

        write_volume(folder / name, _volume())
        return folder / name

    return make


def _read_volume(path: Path) -> Any:
    from deeprecon.data.volume_io import read_volume

    return read_volume(path).array.tobytes()


def _write_series(folder: Path) -> Path:
    from deeprecon.data.dicom.objects.ct import write_ct_series

    write_ct_series(folder, _volume(), {})
    return folder


def _write_film(folder: Path) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "2.25.7"
    data.Modality, data.Rows, data.Columns, data.SamplesPerPixel = "DX", 96, 80, 1
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PhotometricInterpretation, data.ImagerPixelSpacing, data.ViewPosition = "MONOCHROME2", [4.0, 4.0], "PA"
    data.PixelData = np.random.default_rng(0).integers(0, 4096, (96, 80)).astype(np.uint16).tobytes()
    data.save_as(folder / "a.dcm", enforce_file_format=True)
    return folder / "a.dcm"


def _write_picture(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from PIL import Image

        pixels = np.random.default_rng(0).integers(0, 256, (96, 80)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
        return folder / name

    return make


def _read_radiograph(path: Path) -> Any:
    from deeprecon.data.radiograph import read_radiograph

    return read_radiograph(path).image.tobytes()


def _scan() -> Any:
    from deeprecon.data.diffusion.gradients import GradientTable
    from deeprecon.data.diffusion.scan import DwiScan

    random = np.random.default_rng(0)
    vectors = random.normal(size=(7, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    b = np.array([0.0, *[1000.0] * 6])
    vectors[0] = 0
    array = random.integers(100, 1000, (4, 6, 5, 7)).astype(np.int16)
    return DwiScan(array, np.diag([2.0, 2.0, 2.0, 1.0]), GradientTable(b, vectors))


def _write_dwi(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from deeprecon.data.diffusion.files import write_dwi

        write_dwi(folder / name, _scan())
        return folder / name

    return make


def _read_dwi(path: Path) -> Any:
    from deeprecon.data.diffusion.files import read_dwi

    return read_dwi(path).array.tobytes()


def _write_mif(folder: Path) -> Path:
    from unit.data.test_mif import image

    (folder / "a.mif").write_bytes(image(_scan().array.transpose(3, 0, 1, 2), kind="Int16LE"))
    return folder / "a.mif"


def _segmentation() -> Any:
    from deeprecon.data.segmentation import Segment, Segmentation

    masks = _volume().array > 500, _volume().array < 200
    parts = tuple(Segment(name, mask) for name, mask in zip(("myocardium", "scar"), masks, strict=True))
    return Segmentation(parts, _volume().ijk_to_ras, "a", 8.0)


def _write_segmentation(folder: Path) -> Path:
    from deeprecon.data.segmentation import write_segmentation

    write_segmentation(folder / "a.seg.nrrd", _segmentation())
    return folder / "a.seg.nrrd"


def _write_dicom_segmentation(folder: Path) -> Path:
    from unit.scar.test_dicom_regions import write_frames

    write_frames(folder / "a.dcm", _segmentation())
    return folder / "a.dcm"


def _write_contours(folder: Path) -> Path:
    from unit.scar.test_dicom_regions import write_contours

    write_contours(folder / "a.dcm", _segmentation())
    return folder / "a.dcm"


def _read_segmentation(path: Path) -> Any:
    from deeprecon.data.segmentation import read_segmentation

    return len(read_segmentation(path, _volume()).segments)


def _write_mesh(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from vtkmodules.vtkFiltersGeometry import vtkGeometryFilter

        from deeprecon.data.mesh.files import write_mesh
        from deeprecon.data.mesh.mesh import Mesh
        from deeprecon.scar.simulate.hearts import sample_case

        mesh = sample_case(seed=0, node_spacing=14, pixel=6).mesh
        if name.endswith((".vtp", ".ply", ".stl")):
            surface = vtkGeometryFilter()
            surface.SetInputData(mesh.dataset)
            surface.Update()
            mesh = Mesh(surface.GetOutput(), "surface")
            if name.endswith(".stl"):
                for array in mesh.array_names:
                    mesh.dataset.GetPointData().RemoveArray(array)
        write_mesh(folder / name, mesh)
        return folder / name

    return make


def _read_mesh(path: Path) -> Any:
    from deeprecon.data.mesh.files import read_mesh
    from deeprecon.data.trial import try_to_read

    try_to_read(path)
    return read_mesh(path).points.tobytes()


def _write_text(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return make


def _write_markups(folder: Path) -> Path:
    from deeprecon.data.markups import write_markups

    write_markups(folder / "a.mrk.json", {"apex": np.array([1.0, 2.0, 3.0]), "base": np.array([4.0, 5.0, 6.0])})
    return folder / "a.mrk.json"


def _read_markups(path: Path) -> Any:
    from deeprecon.data.markups import read_markups

    return read_markups(path)


def _read_table(path: Path) -> Any:
    from deeprecon.data.tables import read_table

    return read_table(path)


def _read_manifest(path: Path) -> Any:
    from deeprecon.ctpa.read.manifest import read_manifest

    return read_manifest(path)


def _write_far_fields(folder: Path) -> Path:
    from deeprecon.jobs.run import Run, SilentReporter
    from deeprecon.scattering.parameters import PhantomParameters
    from deeprecon.scattering.simulate.far_fields import simulate_phantoms
    from deeprecon.scattering.write.far_field_file import write_far_fields

    run = Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter())
    write_far_fields(folder / "a.h5", simulate_phantoms(PhantomParameters(count=2, k=4.0, grid=16, rings=8), run), "a")
    return folder / "a.h5"


def _read_far_fields(path: Path) -> Any:
    from deeprecon.scattering.read.far_field_file import read_far_fields

    return read_far_fields(path).far_field.tobytes()


def _write_fields(name: str) -> Callable[[Path], Path]:
    """Measured fields of 3 line sources and 8 receivers, in the format of the name's ending."""

    def make(folder: Path) -> Path:
        from deeprecon.scattering.physics.arrangement import Arrangement
        from deeprecon.scattering.read.scattered_fields import Band, ScatteredFields
        from deeprecon.scattering.write.field_file import write_field_file

        angle = np.radians(np.arange(0.0, 360.0, 45.0))
        places = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        arrangement = Arrangement(places[::3] * 0.5, np.broadcast_to(places * 0.4, (3, 8, 2)))
        incident = arrangement.direct(42.0)
        if name.endswith(".h5"):
            band = Band(2e9, 0.1 * incident, incident, np.ones((3, 8), bool))
            write_field_file(folder / name, ScatteredFields(arrangement, (band,), side=0.1))
        elif name.endswith(".mat"):
            from scipy.io import savemat

            texts = {"time_convention": "exp(-iwt)", "length_unit": "m", "source_kind": "line", "receiver_kind": "near"}
            values = {"speed": 3e8, "frequency": 2e9, "source": arrangement.source, "receiver": places * 0.4}
            fields = {"total": 1.1 * incident[None], "incident": incident[None]}
            savemat(folder / name, texts | values | fields)
        else:
            numbers = [(v + 1, (180 * v + 60 + 60 * r) % 360 + 1) for v in range(2) for r in range(3)]
            rows = [f"{view} {receiver} 2.0 0.5 0.4 0.3 0.2" for view, receiver in numbers]
            (folder / name).write_text("\n".join(rows) + "\n", encoding="latin-1")
        return folder / name

    return make


def _read_fields(path: Path) -> Any:
    from deeprecon.data.trial import try_to_read
    from deeprecon.scattering.read.measurements import read_measurement

    try_to_read(path)
    return b"".join(band.scattered.tobytes() for band in read_measurement(path).bands)


def _write_checkpoint(folder: Path) -> Path:
    import torch

    from deeprecon.training.checkpoint import save_checkpoint

    save_checkpoint(folder / "a.safetensors", {"w": torch.arange(100.0), "step": 3, "list": [1, None, "x"]})
    return folder / "a.safetensors"


def _read_checkpoint(path: Path) -> Any:
    from deeprecon.training.checkpoint import load_checkpoint

    return load_checkpoint(path)["w"].numpy().tobytes()


def _write_bundle(folder: Path) -> Path:
    import torch

    from deeprecon.training.bundle import Card, write_bundle
    from deeprecon.training.bundle_file import export_bundle

    card = Card("Test", "0.1.0", "a", "b", "c", "Apache-2.0", "d", "e", {}, {})
    weights = [{"w": torch.arange(100.0)}]
    bundle = write_bundle(folder / "bundle", card, "scar", "field", {"width": 64}, weights, "# Test\n")
    export_bundle(bundle, folder / "a.zip")
    return folder / "a.zip"


def _read_bundle(path: Path) -> Any:
    import shutil
    import tempfile

    from deeprecon.training.bundle import load_weights
    from deeprecon.training.bundle_file import import_bundle

    target = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        return load_weights(import_bundle(path, target, "scar"))[0]["w"].numpy().tobytes()
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _write_job(folder: Path) -> Path:
    from deeprecon.jobs.job import Job

    Job("scar", "phantom", {}, {}, "..").save(folder)
    return folder / "job.json"


def _read_job(path: Path) -> Any:
    from deeprecon.jobs.check import check_job
    from deeprecon.jobs.job import Job

    return check_job(Job.load(path.parent), path.parent)


_CASES = "case,mesh,myocardium,slice-thickness\na,a.vtu,a.nrrd,8\nb,b.vtu,b.nrrd,10\n"
_FCSV = """# Markups fiducial file version = 4.11
# CoordinateSystem = LPS
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
1,1.0,2.0,3.0,0,0,0,1,1,1,0,apex,,
2,4.0,5.0,6.0,0,0,0,1,1,1,0,base,,
"""


def _read_cases(path: Path) -> Any:
    from deeprecon.cases.table import read_cases
    from deeprecon.jobs.command import Command

    return read_cases(path, Command("scar", "reconstruct"))


def _read_gradients(path: Path) -> Any:
    from deeprecon.data.diffusion.gradients import read_fsl

    return read_fsl(path, path.with_suffix(".bvec"), 7)


def _write_gradients(folder: Path) -> Path:
    return _write_dwi("a.nii")(folder).with_suffix(".bval")


FORMATS = {
    entry.name: entry
    for entry in (
        *(FileFormat(f"volume {name}", _write_volume(name), _read_volume) for name in ("a.nii", "a.mha")),
        FileFormat("volume a.nii.gz", _write_volume("a.nii.gz"), _read_volume, checked=True),
        FileFormat("volume a.nrrd", _write_volume("a.nrrd"), _read_volume),
        FileFormat("volume a.nhdr", _write_volume("a.nhdr"), _read_volume),
        FileFormat("CT series", _write_series, _read_volume),
        FileFormat("X-ray a.dcm", _write_film, _read_radiograph),
        *(FileFormat(f"X-ray {name}", _write_picture(name), _read_radiograph) for name in ("a.jpg", "a.tif")),
        FileFormat("X-ray a.png", _write_picture("a.png"), _read_radiograph, checked=True),
        FileFormat("DWI a.nii.gz", _write_dwi("a.nii.gz"), _read_dwi, checked=True),
        FileFormat("DWI a.nrrd", _write_dwi("a.nrrd"), _read_dwi),
        FileFormat("DWI a.mif", _write_mif, _read_dwi),
        FileFormat("gradients", _write_gradients, _read_gradients, cut=False),
        FileFormat("segmentation", _write_segmentation, _read_segmentation),
        FileFormat("DICOM segmentation", _write_dicom_segmentation, _read_segmentation),
        FileFormat("RT structure set", _write_contours, _read_segmentation),
        *(
            FileFormat(f"mesh {name}", _write_mesh(name), _read_mesh)
            for name in ("a.vtk", "a.vtu", "a.vtp", "a.ply", "a.stl", "a.pts")
        ),
        FileFormat("markups json", _write_markups, _read_markups),
        FileFormat("markups fcsv", _write_text("a.fcsv", _FCSV), _read_markups, cut=False),
        FileFormat("table", _write_text("a.csv", "name,value\na,1\nb,2\n"), _read_table, cut=False),
        FileFormat("manifest", _write_text("a.csv", "patient,ct\na,a.nii\nb,b.nii\n"), _read_manifest, cut=False),
        FileFormat("cases", _write_text("a.csv", _CASES), _read_cases, cut=False),
        FileFormat("far fields", _write_far_fields, _read_far_fields),
        *(FileFormat(f"scattered fields {name}", _write_fields(name), _read_fields) for name in ("a.h5", "a.mat")),
        FileFormat("scattered fields a.exp", _write_fields("a.exp"), _read_fields, cut=False),
        *RECORDINGS,
        FileFormat("checkpoint", _write_checkpoint, _read_checkpoint, checked=True),
        FileFormat("bundle", _write_bundle, _read_bundle, checked=True),
        FileFormat("job", _write_job, _read_job, named=False),
    )
}
