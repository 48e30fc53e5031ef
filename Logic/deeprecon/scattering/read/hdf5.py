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
        InputError: the file cannot be read or takes data from other files, or h5py is not installed.
    """
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            _check_links(path, file, h5py)
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


def _check_links(path: Path, file: Any, h5py: Any) -> None:
    """Look at each link and data set: HDF5 would read whatever file of the computer they name."""

    links: list[tuple[bytes, int]] = []
    file.id.links.visit(lambda name, link: links.append((name, link.type)), info=True)
    for name, kind in links:  # outside of HDF5's visit, whose callbacks may not raise
        entry = file[name] if kind == h5py.h5l.TYPE_HARD else None
        outside = isinstance(entry, h5py.Dataset) and (entry.external or entry.is_virtual)
        if outside or kind == h5py.h5l.TYPE_EXTERNAL:
            named = name.decode("utf-8", "replace")
            message = f"{path} takes {named} from another file: only files that hold their data themselves are read."
            raise InputError(message, "Copy the data into one file, such as by h5repack.")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            "Wave scattering needs h5py, which is not installed.", "Install it: pip install './Logic[scattering]'"
        ) from error
    return h5py
