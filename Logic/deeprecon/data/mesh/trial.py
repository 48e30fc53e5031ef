"""Reading a mesh file once in a process of its own, since VTK's readers crash on some damaged files.

`python -m deeprecon.data.mesh.trial FILE` reads one file and ends; what a crash there means is said by `try_to_read`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from deeprecon.data.errors import InputError
from deeprecon.data.files import digest

ENDINGS = (".vtk", ".vtu", ".vtp")
"""Of the files whose readers crash; the others are checked by readers of our own."""
BASE_SECONDS, BYTES_PER_SECOND = 20.0, 1e6
BASE_MEMORY, MEMORY_PER_BYTE = 4 * 2**30, 100
_REFUSED = 2


def try_to_read(path: Path) -> None:
    """Read a file in a child process; files of other endings, and those that were tried before, are passed over.

    Raises:
        InputError: the child crashed, ran out of memory, or did not end.
    """
    if path.suffix.lower() in ENDINGS and not _ends_well(str(path), digest(path).sha256):
        message = f"{path} is damaged: VTK crashes or does not end while it reads the file."
        raise InputError(message, "Export the mesh again.")


@lru_cache(maxsize=1024)
def _ends_well(path: str, checksum: str) -> bool:
    """Whether the child ends by itself; a file that it refuses with words is refused by the caller's own reading."""
    environment = dict(os.environ)
    library = str(Path(__file__).resolve().parents[3])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (library, environment.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-P", "-m", "deeprecon.data.mesh.trial", path],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=BASE_SECONDS + os.stat(path).st_size / BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode in (0, _REFUSED)


def main(path: Path) -> int:
    """Read a file, with as much memory as its size allows for."""
    if sys.platform != "win32":
        import resource

        limit = max(BASE_MEMORY, MEMORY_PER_BYTE * path.stat().st_size)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from deeprecon.data.mesh.files import read_mesh

    try:
        read_mesh(path)
    except InputError:
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
