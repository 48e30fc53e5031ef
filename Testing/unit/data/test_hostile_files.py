"""Files that lie about their size, or name files of others, are refused with words before memory is taken."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.formats.inflate import inflate
from deeprecon.data.formats.nrrd import read_nrrd
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.tables import read_table, write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume

from .dicom_files import write_xray

ZEROS = 200_000_000


def nrrd_header(encoding: str, extra: str = "", sizes: str = "4 4 4") -> bytes:
    return (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
        f"space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: {encoding}\n{extra}\n"
    ).encode()


def nifti(shape: tuple[int, int, int], folder: Path) -> bytes:
    write_volume(folder / "a.nii", Volume(np.zeros((2, 2, 2), np.int16), np.eye(4)))
    content = bytearray((folder / "a.nii").read_bytes())
    content[40:48] = struct.pack("<4h", 3, *shape)
    return bytes(content)


def nrrd_bomb(folder: Path) -> Path:
    path = folder / "a.nrrd"
    path.write_bytes(nrrd_header("gzip") + gzip.compress(bytes(ZEROS)))
    return path


def nrrd_bomb_bzip2(folder: Path) -> Path:
    path = folder / "a.nrrd"
    path.write_bytes(nrrd_header("bzip2") + bz2.compress(bytes(ZEROS)))
    return path


def nifti_bomb(folder: Path) -> Path:
    path = folder / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti((2, 2, 2), folder) + bytes(ZEROS)))
    return path


def nifti_of_many_voxels(folder: Path) -> Path:
    path = folder / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti((32767, 32767, 32767), folder)))
    return path


def nrrd_of_many_voxels(folder: Path) -> Path:
    path = folder / "a.nrrd"
    path.write_bytes(nrrd_header("raw", sizes="99999999 99999999 99999999") + bytes(100))
    return path


def nrrd_of_negative_size(folder: Path) -> Path:
    path = folder / "a.nrrd"
    path.write_bytes(nrrd_header("raw", sizes="-4 -4 4") + bytes(128))
    return path


def metaimage(folder: Path, size: str, compressed: bool, data: str = "LOCAL") -> Path:
    path = folder / ("a.mha" if data == "LOCAL" else "a.mhd")
    lines = ["ObjectType = Image", "NDims = 3", f"DimSize = {size}", f"CompressedData = {compressed}"]
    lines += ["ElementType = MET_SHORT", f"ElementDataFile = {data}", ""]
    path.write_bytes("\n".join(lines).encode() + zlib.compress(bytes(128)))
    return path


def metaimage_of_many_voxels(folder: Path) -> Path:
    return metaimage(folder, "60000 60000 60000", False)


def compressed_metaimage_of_many_voxels(folder: Path) -> Path:
    return metaimage(folder, "60000 60000 60000", True)


@pytest.mark.parametrize(
    "make",
    [
        nrrd_bomb,
        nrrd_bomb_bzip2,
        nifti_bomb,
        nifti_of_many_voxels,
        nrrd_of_many_voxels,
        nrrd_of_negative_size,
        metaimage_of_many_voxels,
        compressed_metaimage_of_many_voxels,
    ],
)
def test_a_file_that_lies_about_its_size_is_damaged_and_takes_no_memory(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="damaged") as caught:
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert str(path) in caught.value.message


def deflated(folder: Path, zeros: int = 0) -> Path:
    """A deflated X-ray, with zeros after its pixels."""
    path = write_xray(folder / "a.dcm")
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(path)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")  # the file meta information is not deflated
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    path.write_bytes(content[:start] + stream.compress(plain + bytes(zeros)) + stream.flush())
    return path


def picture_of_many_pixels(folder: Path) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000_000))) + chunk(b"IEND", b"")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return folder / "a.png"


def deflated_bomb(folder: Path) -> Path:
    return deflated(folder, zeros=ZEROS)


@pytest.mark.parametrize("make", [deflated_bomb, picture_of_many_pixels])
def test_an_xray_that_lies_about_its_size_is_damaged(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="damaged") as caught:
            read_radiograph(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert str(path) in caught.value.message


def test_a_deflated_xray_is_read_and_a_cut_one_named(tmp_path: Path) -> None:
    whole = read_radiograph(write_xray(tmp_path / "whole.dcm")).image
    path = deflated(tmp_path)
    np.testing.assert_array_equal(read_radiograph(path).image, whole)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.dcm is cut off or damaged"):
        read_radiograph(path)


@pytest.mark.parametrize("name", ["{secret}", "../secret.raw", "sub/../../secret.raw"])
@pytest.mark.parametrize("form", ["nhdr", "mhd"])
def test_data_outside_of_the_headers_folder_are_not_read(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(128))
    folder = tmp_path / "data"
    folder.mkdir()
    name = name.format(secret=tmp_path / "secret.raw")
    if form == "mhd":
        path = metaimage(folder, "4 4 4", False, name)
    else:
        path = folder / "a.nhdr"
        path.write_bytes(nrrd_header("raw", f"data file: {name}\n"))
    with pytest.raises(InputError, match="outside of its folder"):
        read_volume(path)


@pytest.mark.parametrize("form", ["nhdr", "mhd"])
def test_data_below_the_headers_folder_are_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.raw").write_bytes(np.arange(64, dtype="<i2").tobytes())
    if form == "mhd":
        path = metaimage(tmp_path, "4 4 4", False, "sub/a.raw")
    else:
        path = tmp_path / "a.nhdr"
        path.write_bytes(nrrd_header("raw", "data file: sub/a.raw\n"))
    assert read_volume(path).array.ravel().tolist() == list(range(64))


@pytest.mark.parametrize("members", [1, 3])
def test_every_flipped_bit_of_a_compressed_image_is_found(tmp_path: Path, members: int) -> None:
    random = np.random.default_rng(0)
    content = bytearray(b"".join(gzip.compress(random.bytes(300), mtime=0) for _ in range(members)))
    path = tmp_path / "a.nii.gz"
    whole = inflate(path, bytes(content), 300 * members)
    assert len(whole) == 300 * members
    unseen = 0
    for position in random.choice(range(10, len(content)), 200, replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(random.integers(8))
        try:
            unseen += inflate(path, bytes(damaged), 300 * members) != whole
        except InputError:
            continue
    assert unseen == 0


def test_a_nrrd_header_of_random_bytes_is_no_foreign_error(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    whole = bytearray(nrrd_header("raw") + bytes(128))
    for _ in range(300):
        damaged = bytearray(whole)
        for position in random.choice(range(8, len(whole) - 128), 3):
            damaged[position] = int(random.integers(256))
        (tmp_path / "a.nrrd").write_bytes(damaged)
        with suppress(InputError):
            read_nrrd(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    "raised",
    [
        ZeroDivisionError(),
        RecursionError("deep"),
        KeyError("x"),
        struct.error("short"),
        zlib.error(),
        csv.Error("field"),
    ],
)
def test_what_parsers_raise_names_the_file(raised: Exception) -> None:
    @names_damage
    def read(path: Path) -> None:
        raise raised

    with pytest.raises(InputError, match=r"a\.bin is cut off or damaged"):
        read(Path("a.bin"))


@pytest.mark.parametrize("raised", [MemoryError(), FileNotFoundError(2, "none"), KeyboardInterrupt()])
def test_what_is_not_the_files_fault_stays(raised: BaseException) -> None:
    @names_damage
    def read(path: Path) -> None:
        raise raised

    with pytest.raises(type(raised)):
        read(Path("a.bin"))


def test_text_in_tables_is_no_formula_and_comes_back(tmp_path: Path) -> None:
    names = ["=HYPERLINK(1)", "+cmd", "-cmd", "@SUM(A1)", "\tx", "plain", "'quoted"]
    write_table(tmp_path / "a.csv", [{"name": name, "value": -3.5, "text": "-3.5"} for name in names])
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    cells = [row[0] for row in csv.reader(io.StringIO(text))][1:]
    assert not [cell for cell in cells if cell[0] in "=+-@\t"]
    rows = read_table(tmp_path / "a.csv")
    assert [row["name"] for row in rows] == names
    assert {(row["value"], row["text"]) for row in rows} == {("-3.5", "-3.5")}


def test_a_cell_of_many_characters_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "x" * 200_000 + ",1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.csv"):
        read_table(tmp_path / "a.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a named pipe")
def test_a_pipe_is_no_input(tmp_path: Path) -> None:
    from deeprecon import cli

    os.mkfifo(tmp_path / "pipe.nii")
    code = cli.main(["dwmri", "prepare", "--dwi", str(tmp_path / "pipe.nii"), "--output", str(tmp_path / "out")])
    assert code == cli.BAD_INPUT
