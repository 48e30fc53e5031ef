"""A small scan."""

from __future__ import annotations

from pathlib import Path

import pytest

from deeprecon.data.dwi_io import write_dwi
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.phantom import Phantom, make_phantom


@pytest.fixture(scope="session")
def head() -> Phantom:
    """15 volumes of 24 x 24 x 12 voxels at SNR 20."""
    return make_phantom((12, 24, 24), 3, [(1000.0, 12)], snr=20)


@pytest.fixture(scope="session")
def files(head: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same in files, as NIfTI and as NRRD, with its truth and mask; nobody writes there."""
    folder = tmp_path_factory.mktemp("head")
    found = write_dwi(folder / "dwi.nii.gz", head.noisy)
    found["nrrd"] = write_dwi(folder / "dwi.nrrd", head.noisy)["dwi"]
    found["truth"] = write_dwi(folder / "truth.nii.gz", head.clean)["dwi"]
    found["mask"] = folder / "mask.nii.gz"
    write_volume(found["mask"], head.clean.volume(head.mask))
    return found


@pytest.fixture
def method_name() -> str:
    return "dwmri"
