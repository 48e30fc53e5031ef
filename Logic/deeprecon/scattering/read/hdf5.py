"""Access to HDF5 files by h5py, an optional package that is imported only when such a file is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path


@contextmanager
def open_hdf5(path: Path, hint: str) -> Iterator[Any]:
    """An HDF5 file for reading.

    Args:
        path: of the file.
        hint: for the user, where the file is not HDF5.

    Raises:
        InputError: the file cannot be read, or h5py is not installed.
    """
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} is no readable HDF5 file: {error}.", hint) from error


@contextmanager
def create_hdf5(path: Path) -> Iterator[Any]:
    """A new HDF5 file for writing, which replaces `path` when it is complete.

    Raises:
        InputError: h5py is not installed.
    """
    h5py = _h5py()
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        yield file


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            "Wave scattering needs h5py, which is not installed.", "Install it: pip install './Logic[scattering]'"
        ) from error
    return h5py
