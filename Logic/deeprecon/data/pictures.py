"""X-rays as pictures: PNG, JPEG and TIFF, recognized by their first bytes whatever their names are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_ORIENTATION, _PHOTOMETRIC = 0x0112, 262
"""Tags of EXIF and TIFF."""


@dataclass(frozen=True, eq=False)
class Picture:
    """The gray values of a picture.

    Attributes:
        pixels: (rows, columns), turned as the picture states.
        known: (rows, columns) False where it is transparent; None where it is nowhere.
        doubts: what was assumed.
    """

    pixels: npt.NDArray[np.float64]
    known: npt.NDArray[np.bool_] | None = None
    doubts: tuple[Doubt, ...] = ()


def is_picture(path: Path) -> bool:
    """Whether a file begins as a PNG, JPEG or TIFF; opens the file."""
    with open(path, "rb") as stream:
        return stream.read(8).startswith(_SIGNATURES)


def read_picture(path: Path) -> Picture:
    """Read a picture of gray values; one in colors whose channels are the same is one of gray values.

    Raises:
        InputError: damaged, cut off, in colors, or several images in one file.
    """
    from PIL import Image, ImageOps

    try:
        # from a stream: Pillow 13 mixes up the sides of a turned TIFF that it maps into memory
        with open(path, "rb") as stream, Image.open(stream) as image:
            count = getattr(image, "n_frames", 1)
            code = image.getexif().get(_ORIENTATION, 1)
            image.load()
            white_is_zero = image.mode.startswith("I;16") and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
            upright = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise InputError(f"{path} is cut off or damaged ({error}).", "Copy or export the image again.") from error
    if count > 1:
        raise InputError(f"{path} holds {count} images, not one X-ray.", "Give a single frontal image.")
    if upright.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        upright = upright.convert("RGBA")
    values = np.asarray(upright).astype(float)
    if white_is_zero:
        values = 65535 - values
    known = None
    if values.ndim == 3:
        if values.shape[2] in (2, 4):
            opaque = values[..., -1] > 0
            known, values = (None if opaque.all() else opaque), values[..., :-1]
        seen = values if known is None else values[known]
        if seen.size and np.ptp(seen, axis=-1).max() > 0:
            raise InputError(f"{path} is a color image, expected gray values.", "Give the original X-ray.")
        values = values[..., 0]
    if code in (None, 0, 1):
        return Picture(values, known)
    found = f"It was turned as its EXIF entry Orientation {code} states."
    return Picture(values, known, (Doubt("film-turned", str(path), found, assumed=True),))
