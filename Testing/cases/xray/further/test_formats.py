"""Formats that were refused for a false reason (kind 14): they are read, or the message is true."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from deeprecon.data.errors import InputError

from ..files import SPACING, write_film
from .files import CHEST, GRAY, is_upright, read, refused


def palette(folder):
    """A PNG with 256 grays as its colors."""
    image = Image.fromarray(GRAY, "P")
    image.putpalette([value for gray in range(256) for value in (gray, gray, gray)])
    image.save(folder / "x.png")
    return folder / "x.png"


def opaque_color(folder):
    Image.fromarray(GRAY).convert("RGBA").save(folder / "x.png")
    return folder / "x.png"


def print_colors(folder):
    """A JPEG for printing: cyan, magenta, yellow and black."""
    Image.fromarray(GRAY).convert("CMYK").save(folder / "x.jpg", quality=95)
    return folder / "x.jpg"


def tiff_16(folder):
    """16 bits, compressed."""
    Image.fromarray(CHEST).save(folder / "x.tiff", compression="tiff_lzw")
    return folder / "x.tiff"


def tiff_called_jpg(folder):
    Image.fromarray(GRAY).save(folder / "x.jpg", format="TIFF")
    return folder / "x.jpg"


def no_suffix(folder):
    return write_film(folder / "IM000001", CHEST)


def png_called_dcm(folder):
    Image.fromarray(GRAY).save(folder / "x.dcm", format="PNG")
    return folder / "x.dcm"


def detached_nrrd(folder):
    """2D, the numbers beside the header, without a space."""
    (folder / "x.raw").write_bytes(CHEST.tobytes())
    header = ["NRRD0004", "type: ushort", "dimension: 2", "sizes: 180 200", f"spacings: {SPACING} {SPACING}",
              "endian: little", "encoding: raw", "data file: x.raw", ""]  # fmt: skip
    (folder / "x.nhdr").write_text("\n".join(header), "utf-8")
    return folder / "x.nhdr"


def detached_metaimage(folder):
    (folder / "x.raw").write_bytes(CHEST.tobytes())
    header = ["ObjectType = Image", "NDims = 2", "DimSize = 180 200", f"ElementSpacing = {SPACING} {SPACING}",
              "ElementType = MET_USHORT", "ElementDataFile = x.raw", ""]  # fmt: skip
    (folder / "x.mhd").write_text("\n".join(header), "utf-8")
    return folder / "x.mhd"


def bitmap(folder):
    Image.fromarray(GRAY).save(folder / "x.bmp")
    return folder / "x.bmp"


@pytest.mark.parametrize(
    "store",
    [palette, opaque_color, print_colors, tiff_16, tiff_called_jpg, no_suffix, png_called_dcm, detached_nrrd,
     detached_metaimage],
)  # fmt: skip
def test_a_film_is_read_whatever_its_format_and_name(store, tmp_path):
    film, _ = read(tmp_path, store(tmp_path))
    assert is_upright(film.image)


def test_a_bitmap_is_read_or_refused_as_what_it_is(tmp_path, capsys):
    path = bitmap(tmp_path)
    try:
        assert is_upright(read(tmp_path, path)[0].image)
    except InputError:
        assert "unknown kind" in refused(tmp_path, path, capsys)


def pdf(folder):
    (folder / "x.jpg").write_bytes(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" + bytes(3000))
    return folder / "x.jpg"


def web_page(folder):
    """What a browser saved instead of the image."""
    (folder / "x.dcm").write_text("<!DOCTYPE html><html><body>Please log in</body></html>" * 20, "utf-8")
    return folder / "x.dcm"


def empty(folder):
    (folder / "x.dcm").write_bytes(b"")
    return folder / "x.dcm"


def archive(folder):
    content = io.BytesIO(b"PK\3\4" + bytes(500))
    (folder / "x.png").write_bytes(content.getvalue())
    return folder / "x.png"


def report(folder):
    """A structured report has no pixels."""
    path = write_film(folder / "x.dcm", CHEST)
    data = dcmread(path)
    del data.PixelData, data.Rows, data.Columns
    data.Modality = "SR"
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.22"
    data.save_as(path)
    return path


TRUE = ("structured report", "no image", "holds no", "no pixels", "empty", "unknown kind")


@pytest.mark.parametrize("store", [pdf, web_page, empty, archive, report])
def test_what_is_no_image_is_called_neither_damaged_nor_cut_off(store, tmp_path, capsys):
    message = refused(tmp_path, store(tmp_path), capsys).lower()
    assert "cut off" not in message
    assert "damaged" not in message
    assert any(word in message for word in TRUE)


def test_a_colored_picture_is_no_film(tmp_path, capsys):
    """Colors, as of a photo with a false-color scale, are no gray values."""
    colored = np.stack([GRAY, 255 - GRAY, np.roll(GRAY, 40, 1)], -1)
    Image.fromarray(colored).save(tmp_path / "x.png")
    assert "color" in refused(tmp_path, tmp_path / "x.png", capsys)
