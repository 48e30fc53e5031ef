"""Reading DICOM: a CT of 600 slices, a diffusion series of 65 volumes and an X-ray, beside another checkout.

    python Testing/benchmarks/data_reading.py [--other CHECKOUT] [--repeats 3] [--scale 1.0] [--out out]

The files are made in a temporary folder. Each checkout reads them in a process of its own with its own `.venv`, turn by
turn; the shortest time counts (files in the page cache). The comparison is of processor time, which depends less on
what else the computer does. The limit is the time in which the bytes of all files can be read and copied once. Target:
twice as fast as the other checkout, with equal arrays.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

ROOT = Path(__file__).resolve().parents[2]
READ = """
import hashlib, json, sys, time
from pathlib import Path
kind, path = sys.argv[1], Path(sys.argv[2])
if kind == "ct":
    from deeprecon.data.volume_io import read_volume as read
elif kind == "xray":
    from deeprecon.data.radiograph import read_radiograph as read
else:
    try:
        from deeprecon.data.diffusion.files import read_dwi as read
    except ImportError:  # before the folder had rooms
        from deeprecon.data.dwi_io import read_dwi as read
import pydicom, SimpleITK  # the time of their import does not count
started, before = time.perf_counter(), time.process_time()
found = read(path)
seconds, processor = time.perf_counter() - started, time.process_time() - before
array = found.image if kind == "xray" else found.array
print(json.dumps({"seconds": seconds, "processor": processor, "sha256": hashlib.sha256(array.tobytes()).hexdigest()}))
"""


def dataset(path: Path, storage: str, pixels: np.ndarray, number: int, **elements: Any) -> FileDataset:
    """An image file of one frame."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b"\0\1"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, f"2.25.1{number}"
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, "2.25.1"
    data = FileDataset(str(path), {}, bytes(128), meta, is_implicit_VR=False, is_little_endian=True)
    data.SOPClassUID, data.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.2", "2.25.3"
    data.PatientName, data.PatientID, data.InstanceNumber = "A^B", "1", number
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = pixels.astype("<u2").tobytes()
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    return data


def save(data: FileDataset, path: Path) -> None:
    """Write a file, in the way that all versions of pydicom share."""
    data.save_as(path)


def write_files(folder: Path, scale: float) -> dict[str, Path]:
    """The three inputs by kind."""
    rng = np.random.default_rng(0)
    paths = {kind: folder / kind for kind in ("ct", "diffusion")}
    for path in paths.values():
        path.mkdir()
    axes = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    noise = rng.integers(0, 4096, (512, 512))
    for k in range(round(600 * scale)):
        place = {"ImagePositionPatient": [0, 0, 0.6 * k], "PixelSpacing": [0.7, 0.7], "SliceThickness": 0.6}
        file = paths["ct"] / f"{k:04d}.dcm"
        values = {"RescaleSlope": 1, "RescaleIntercept": -1024, "Modality": "CT"}
        save(dataset(file, CTImageStorage, np.roll(noise, k), k + 1, **axes, **place, **values), file)
    noise, slices = rng.integers(0, 4096, (128, 128)), round(60 * scale) or 2
    for volume in range(65):
        direction = rng.normal(size=3)
        for k in range(slices):
            place = {"ImagePositionPatient": [0, 0, 2.0 * k], "PixelSpacing": [2, 2], "SliceThickness": 2}
            number = volume * slices + k + 1
            file = paths["diffusion"] / f"{number:05d}.dcm"
            data = dataset(file, MRImageStorage, np.roll(noise, number), number, **axes, **place, Modality="MR")
            data.add_new(0x00189087, "FD", 1000.0 if volume else 0.0)
            if volume:
                data.add_new(0x00189089, "FD", (direction / np.linalg.norm(direction)).tolist())
            save(data, file)
    paths["xray"] = folder / "xray.dcm"
    film = rng.integers(0, 4096, (3000, 2500))
    values = {"Modality": "DX", "ViewPosition": "PA", "ImagerPixelSpacing": [0.14, 0.14]}
    values |= {"WindowCenter": 2048, "WindowWidth": 3000}
    save(dataset(paths["xray"], DigitalXRayImageStorageForPresentation, film, 1, **values), paths["xray"])
    return paths


def read(checkout: Path, kind: str, path: Path) -> dict[str, Any]:
    """Seconds of one reading in a process of a checkout, and the checksum of its array."""
    python = checkout / ".venv" / "bin" / "python"
    environment = os.environ | {"PYTHONPATH": str(checkout / "Logic"), "OMP_NUM_THREADS": "1"}
    command = [str(python if python.exists() else sys.executable), "-c", READ, kind, str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    return found


def limit(path: Path) -> tuple[float, float]:
    """Seconds to read the bytes of all files and copy them once, and their number in MB."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    started = time.perf_counter()
    total = sum(len(bytearray(file.read_bytes())) for file in files)
    return time.perf_counter() - started, total / 1e6


def main() -> int:
    """Print a table and write data_reading.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="another checkout to compare with")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the slices")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), options.scale)
        for kind, path in paths.items():
            runs: dict[str, list[dict[str, Any]]] = {"this": [], "other": []}
            for _ in range(options.repeats):
                runs["this"].append(read(ROOT, kind, path))
                if options.other is not None:
                    runs["other"].append(read(options.other, kind, path))
            done = {name: found for name, found in runs.items() if found}
            seconds = {name: min(run["seconds"] for run in found) for name, found in done.items()}
            processor = {name: min(run["processor"] for run in found) for name, found in done.items()}
            sums = {run["sha256"] for found in runs.values() for run in found}
            floor, size = min(limit(path) for _ in range(options.repeats))
            rows.append({"input": kind, "MB": size, "limit_s": floor, "equal": len(sums) == 1}
                        | {f"{name}_s": value for name, value in seconds.items()}
                        | {f"{name}_processor_s": value for name, value in processor.items()})  # fmt: skip
            if "other" in seconds:
                rows[-1]["times_faster"] = processor["other"] / processor["this"]
            print("  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
                            for key, value in rows[-1].items()), flush=True)  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    content = {"pydicom": pydicom.__version__, "rows": rows}
    (options.out / "data_reading.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["equal"] and row.get("times_faster", 2.0) >= 2.0 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
