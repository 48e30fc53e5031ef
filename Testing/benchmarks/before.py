"""Results of another version of this project on the same files, by its command line and its own defaults."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deeprecon.data.mesh.files import read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.simulate.hearts import Phantom


def delivered_before(folder: Path, stacks: Sequence[Stack], phantom: Phantom, *options: str) -> Any:
    """(N,) scar probability at the nodes of the phantom's mesh by `scar reconstruct` of another version.

    Args:
        folder: of that version, with its environment in .venv.
        stacks: what it gets: shares of wall and of scar per pixel.
        phantom: whose mesh it gets.
        options: of its command line.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        scars, walls = [], []
        for number, stack in enumerate(stacks):
            scars.append(place / f"scar_{number}.nrrd")
            walls.append(place / f"wall_{number}.nrrd")
            write_volume(walls[-1], Volume(stack.wall, stack.ijk_to_ras))
            write_volume(scars[-1], Volume(stack.wall * stack.scar, stack.ijk_to_ras))
        write_mesh(place / "mesh.vtu", phantom.mesh, "mm", "lps")
        files = ["--scar", *map(str, scars), "--myocardium", *map(str, walls), "--mesh", str(place / "mesh.vtu")]
        command = [str(folder / ".venv" / "bin" / "python"), "-m", "deeprecon", "scar", "reconstruct", *files]
        command += ["--slice-thickness", f"{stacks[0].thickness:g}", *options, "--output", str(place / "out")]
        environment = {**os.environ, "PYTHONPATH": str(folder / "Logic")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"scar reconstruct of {folder} failed:\n{done.stdout}\n{done.stderr}")
        return Mesh(read_mesh(place / "out" / "mesh.vtu").dataset).point_array("scar_probability")
