"""Numbers in headers that no scanner states: refused with the file's name by the readers, not only by the parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume

from .dicom_files import write_series, write_xray

BITS = [{"BitsStored": 64}, {"BitsStored": 0}, {"BitsStored": 17}, {"BitsAllocated": 12}, {"BitsAllocated": 17}]


def series(folder: Path, **values: Any) -> Path:
    write_series(folder / "series")
    for path in (folder / "series").iterdir():
        data = pydicom.dcmread(path)
        for keyword, value in values.items():
            setattr(data, keyword, value)
        data.save_as(path)
    return folder / "series"


@pytest.mark.parametrize("bits", BITS)
def test_bits_that_no_pixel_has(tmp_path: Path, bits: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"IM000. states that \d+ of \d+ bits"):
        read_volume(series(tmp_path, **bits))
    with pytest.raises(InputError, match=r"a\.dcm states that \d+ of \d+ bits"):
        read_radiograph(write_xray(tmp_path / "a.dcm", **bits))


@pytest.mark.parametrize("size", ["1e300", "1e30", "1e-30", "1e-300"])
def test_pixels_that_no_scanner_has(tmp_path: Path, size: str) -> None:
    with pytest.raises(InputError, match=r"series states voxels of|series: the geometry is singular"):
        read_volume(series(tmp_path, PixelSpacing=[size, size]))
    for keyword in ("ImagerPixelSpacing", "PixelSpacing"):
        film = write_xray(tmp_path / "a.dcm", **{"ImagerPixelSpacing": None, keyword: [size, size]})
        with pytest.raises(InputError, match=r"a\.dcm states pixels of .* mm, which no detector has"):
            read_radiograph(film)


@pytest.mark.parametrize("thickness", ["1e300", "1e-30", "-1"])
def test_slices_that_no_scanner_makes(tmp_path: Path, thickness: str) -> None:
    with pytest.raises(InputError, match=r"series states slices of .* mm, (thicker than a body|which is no thickness)"):
        read_volume(series(tmp_path, SliceThickness=thickness))


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
@pytest.mark.parametrize("size", ["1e300", "1e-300", "nan"])
def test_voxels_of_other_formats(tmp_path: Path, name: str, size: str) -> None:
    path = tmp_path / name
    write_volume(path, Volume(np.ones((2, 3, 4), np.int16), np.diag([1.25, 1.25, 7.5, 1.0])))
    content = path.read_bytes()
    assert content.count(b"7.5") == 1
    path.write_bytes(content.replace(b"7.5", size.encode()))
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_volume(path)
