"""Reading a file once in a process of its own, where VTK, SciPy or HDF5 crash or hang on some damaged ones.

`python -m deeprecon.data.trial FILE` reads one file and ends; what a crash there means is said by `try_to_read`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from deeprecon.data.errors import InputError
from deeprecon.data.files import digest

MATLAB, HDF5 = (".mat",), (".h5", ".hdf5")
ENDINGS = (".vtk", ".vtu", ".vtp", *MATLAB, *HDF5)
"""Of the files whose readers crash; the others are checked by readers of our own."""
BASE_SECONDS, BYTES_PER_SECOND = 20, 1_000_000
"""Of computing: 20 s, and one for each MB."""
PATIENCE = 10
"""So many times longer the child may take by the clock, on a busy computer or a slow disk."""
BASE_MEMORY, MEMORY_PER_BYTE = 4 * 2**30, 100
_REFUSED = 2


def try_to_read(path: Path) -> None:
    """Read a file in a child process; files of other endings, and those that were tried before, are passed over.

    Raises:
        InputError: the child crashed, ran out of memory, or did not end.
    """
    if path.suffix.lower() in ENDINGS and not _ends_well(str(path), digest(path).sha256):
        message = f"{path} is damaged: the library that reads it crashes or does not end."
        raise InputError(message, "Copy or export it again.")


@lru_cache(maxsize=1024)
def _ends_well(path: str, checksum: str) -> bool:
    """Whether the child ends by itself; a file that it refuses with words is refused by the caller's own reading."""
    return run_trial(path) in (0, _REFUSED)


def run_trial(path: str) -> int | None:
    """The exit code of a child process that reads the file; None where it took too long."""
    environment = dict(os.environ)
    library = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (library, environment.get("PYTHONPATH"))))
    try:
        return subprocess.run(
            [sys.executable, "-X", "utf8", "-P", "-m", "deeprecon.data.trial", path],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE * _seconds(Path(path)),
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return None


def main(path: Path) -> int:
    """Read a file, with as much memory and time as its size allows for."""
    if sys.platform != "win32":
        import resource

        memory = max(BASE_MEMORY, MEMORY_PER_BYTE * path.stat().st_size)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (_seconds(path), resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _read(path)
    except Exception:  # the caller's own reading says what is wrong
        return _REFUSED
    return 0


def _read(path: Path) -> None:
    ending = path.suffix.lower()
    if ending in MATLAB:
        from scipy.io import loadmat, whosmat

        whosmat(path)
        loadmat(path)
    elif ending in HDF5:
        _read_attributes(path)
    else:
        from deeprecon.data.mesh.files import read_mesh

        read_mesh(path)


def _read_attributes(path: Path) -> None:
    """Every attribute of every object of an HDF5 file, which opens all its headers; no data."""
    import h5py

    def read(name: str, item: h5py.HLObject) -> None:
        dict(item.attrs)

    with h5py.File(path) as file:
        read("/", file)
        file.visititems(read)


def _seconds(path: Path) -> int:
    return BASE_SECONDS + path.stat().st_size // BYTES_PER_SECOND


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
