"""What a file raises doubts about is asked in the panel as in the shell: the doubts travel with node and job."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.dwmri.parameters import EnhanceParameters, Method
from deeprecon.jobs.job import Job
from deeprecon.worker import run_job

from .files import codes, head, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return head()


def case(kind, made, folder):
    """The path of a scan of a kind."""
    array, b, g, name = made.noisy.array, made.clean.gradients.bvals.copy(), vectors(made).copy(), "dwi.nii.gz"
    if kind == "phase-image":
        name = "sub-01_part-phase_dwi.nii.gz"
    elif kind == "real-valued":
        name = "sub-01_part-real_dwi.nii.gz"
    elif kind == "wrapped-16-bit":
        array = (array / array.max() * 50000).astype(np.uint16).view(np.int16)
    elif kind == "ge-b-values":
        b[b > 0] += 1e9
    elif kind == "b0-threshold":
        b[b == 0] = 60
    elif kind == "trace-volume":
        array = np.concatenate([array, array[..., b > 0].mean(axis=-1, keepdims=True)], axis=-1)
        b, g = np.append(b, 1000), np.vstack([g, np.zeros(3)])
    return write_scan(folder, array, b, g, name)


@pytest.mark.parametrize(
    ("kind", "refused"),
    [("plain", False), ("phase-image", True), ("wrapped-16-bit", True), ("real-valued", False), ("ge-b-values", False),
     ("b0-threshold", False), ("trace-volume", False)],
)  # fmt: skip
def test_a_scan_that_was_opened_raises_its_doubts_in_the_job(kind, refused, made, tmp_path, scene):
    from deeprecon.scene.dwmri.job import DwiNodes, write_job
    from deeprecon.scene.dwmri.scan import open_scan

    node = open_scan(case(kind, made, tmp_path))
    folder = tmp_path / "job"
    write_job(folder, DwiNodes(node), EnhanceParameters(method=Method.PCA), device="cpu")
    if refused:
        assert run_job(folder) == 2
        assert f'"{kind}"' in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        job = Job.load(folder)
        job.accept.append(kind)
        job.save(folder)
    assert run_job(folder) == 0
    assert codes(folder / "output") == (set() if kind == "plain" else {kind})
    found = read_dwi(folder / "output" / "dwi.nrrd")
    assert found.doubts == () if kind != "b0-threshold" else found.gradients.b0.sum() == 3
    assert found.array.shape[-1] == 18
