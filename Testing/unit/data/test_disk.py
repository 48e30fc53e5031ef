"""A disk that is full, or a folder that is not there: an error in time, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOGIC = Path(__file__).resolve().parents[3] / "Logic"

SCRIPT = """
import resource, signal, sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from deeprecon.data.mesh.mesh import Mesh, surface
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.data.mesh.voxels import voxel_mesh

noise = np.random.default_rng(0).random((20, 40, 40))
mesh = voxel_mesh(Volume(noise > 0.3, np.eye(4)), 1.0)
shell = Mesh(surface(mesh))
shell.dataset.GetPointData().Initialize()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
writers = {name: lambda path: write_volume(path, Volume(noise.astype(np.float32), np.eye(4)))
           for name in ("v.nii", "v.nii.gz", "v.nrrd", "v.nhdr", "v.mha")}
writers |= {name: lambda path: write_mesh(path, mesh) for name in ("m.vtu", "m.vtk", "m.pts")}
writers |= {name: lambda path: write_mesh(path, shell) for name in ("s.vtk", "s.vtp", "s.ply", "s.stl")}
large = np.random.default_rng(0).random((60, 60, 60)) > 0.5
writers["l.seg.nrrd"] = lambda path: write_segmentation(path, Segmentation((Segment("a", large),), np.eye(4)))
writers["t.csv"] = lambda path: write_table(path, [{"a": "x" * 100}] * 1000)
for name, write in writers.items():
    try:
        write(sys.argv[1] + "/" + name)
        print("no error:", name)
    except OSError as error:
        assert error.errno, name
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("fault", ["full", "missing folder"])
def test_what_cannot_be_written_raises_and_leaves_nothing(tmp_path, fault):
    folder = tmp_path if fault == "full" else tmp_path / "not there"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(LOGIC)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
