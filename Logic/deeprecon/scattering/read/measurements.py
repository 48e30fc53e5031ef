"""Files of scattered fields in any format that is read, told apart by their content or ending."""

from __future__ import annotations

from pathlib import Path

from deeprecon.data.errors import InputError
from deeprecon.scattering.read.field_file import is_field_file, read_field_file
from deeprecon.scattering.read.fresnel_file import is_fresnel_file, read_fresnel_file
from deeprecon.scattering.read.scattered_fields import ScatteredFields


def is_measurement(path: Path) -> bool:
    """Whether a file holds fields of any arrangement of sources and receivers, not far fields of full circles."""
    return is_fresnel_file(path) or is_field_file(path)


def read_measurement(path: Path) -> ScatteredFields:
    """Read a file of one object, with doubts about its content.

    Raises:
        InputError: it cannot be read or contradicts itself.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Give a file of scattered fields.")
    return read_fresnel_file(path) if is_fresnel_file(path) else read_field_file(path)
