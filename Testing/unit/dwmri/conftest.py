"""A small scan, and a small model."""

from __future__ import annotations

from pathlib import Path

import pytest

from deeprecon.data.diffusion.files import write_dwi
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.networks.architectures import build
from deeprecon.dwmri.simulate.head import Phantom, make_phantom
from deeprecon.training.bundle import Card, write_bundle


@pytest.fixture(scope="session")
def head() -> Phantom:
    """15 volumes of 24 x 24 x 12 voxels at SNR 20."""
    return make_phantom((12, 24, 24), 3, [(1000.0, 12)], snr=20)


@pytest.fixture(scope="session")
def files(head: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same in files, as NIfTI and as NRRD, with its truth and mask; read only."""
    folder = tmp_path_factory.mktemp("head")
    found = write_dwi(folder / "dwi.nii.gz", head.noisy)
    found["nrrd"] = write_dwi(folder / "dwi.nrrd", head.noisy)["dwi"]
    found["truth"] = write_dwi(folder / "truth.nii.gz", head.clean)["dwi"]
    found["mask"] = folder / "mask.nii.gz"
    write_volume(found["mask"], head.clean.volume(head.mask))
    return found


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model bundle with an untrained network, which returns its input; read only."""
    folder = tmp_path_factory.mktemp("model") / "bundle"
    card = Card("Tiny", "1.0.0", "Does nothing.", "Tests.", "Nothing.", "Apache-2.0", "DeepRecon contributors", "Test",
                {}, {})  # fmt: skip
    weights = build("baseline", 4).state_dict()
    write_bundle(folder, card, "dwmri", "baseline", {"width": 4, "scale": 1}, [weights], "# Tiny\n")
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures: drawing them takes most of the time."""
    from deeprecon.dwmri.write import report

    monkeypatch.setattr(report, "write_report", lambda path, *rest: path.write_text("none", encoding="utf-8") and [])


@pytest.fixture
def method_name() -> str:
    return "dwmri"
