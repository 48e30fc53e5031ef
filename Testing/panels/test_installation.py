"""PyTorch through the PyTorch extension, with fakes that have the signatures of its old and new versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deeprecon.data.errors import InputError
from deeprecon.panels.computer import installation


class Old:
    """Signature of early versions of the extension."""

    calls: list[dict[str, Any]] = []  # noqa: RUF012

    def installTorch(self, askConfirmation: bool = False, forceComputationBackend: str | None = None) -> object:
        self.calls.append({"askConfirmation": askConfirmation, "forceComputationBackend": forceComputationBackend})
        return object()


class New:
    """Signature of newer versions."""

    calls: list[dict[str, Any]] = []  # noqa: RUF012

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
        torchvisionVersionRequirement: str | None = None,
    ) -> object:
        self.calls.append({"askConfirmation": askConfirmation, "torchVersionRequirement": torchVersionRequirement})
        return object()


class Failing:
    def installTorch(self, askConfirmation: bool = False) -> None:
        raise RuntimeError("no network")


def test_old_and_new_versions_of_the_extension_are_called_with_the_arguments_they_accept() -> None:
    installation.installTorch(SimpleNamespace(PyTorchUtilsLogic=Old))
    installation.installTorch(SimpleNamespace(PyTorchUtilsLogic=New))
    assert Old.calls == [{"askConfirmation": False, "forceComputationBackend": None}]
    assert New.calls == [{"askConfirmation": False, "torchVersionRequirement": ">=2.4"}]


def test_failures_have_a_message_and_a_hint() -> None:
    with pytest.raises(InputError, match="no network"):
        installation.installTorch(SimpleNamespace(PyTorchUtilsLogic=Failing))
    with pytest.raises(InputError, match="PyTorch extension of Slicer is not installed"):
        installation.installTorch()


def test_the_version_comes_from_metadata_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from deeprecon.panels.computer.installation import torchVersion;"
        "print(torchVersion(Path(sys.argv[1]))); assert 'torch' not in sys.modules"
    )
    info = tmp_path / "torch-9.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n", encoding="utf-8")
    library = Path(installation.__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    child = subprocess.run(command, cwd=library, capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "9.9.9"


def test_each_problem_has_one_action(monkeypatch: pytest.MonkeyPatch) -> None:
    overlay = SimpleNamespace(folder=Path("nowhere"), missing=lambda: ["nibabel"])
    monkeypatch.setattr(installation, "torchVersion", lambda folder=None: None)
    found = installation.problems(overlay, lambda: None, lambda: None)  # type: ignore[arg-type]
    assert [problem.action for problem in found] == ["Install PyTorch", "Install packages"]
    assert "nibabel" in found[1].text
