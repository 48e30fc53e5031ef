"""The overlay folder: install from wheels, remove, export, import; without network access."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deeprecon.data.errors import InputError
from deeprecon.jobs.process import child_environment
from deeprecon.panels.computer.overlay import LIST_NAME, Overlay

NAME, VERSION = "deeprecon_test_package", "1.2"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with one tiny wheel."""
    folder = tmp_path / "räder 轮"
    folder.mkdir()
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{NAME}.py": "value = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{NAME}-{VERSION}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return folder


@pytest.fixture
def overlay(tmp_path: Path, wheels: Path) -> Overlay:
    digest = hashlib.sha256(next(wheels.iterdir()).read_bytes()).hexdigest()
    lock = tmp_path / "overlay.lock"
    lock.write_text(f"{NAME}=={VERSION} \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    return Overlay(tmp_path / "Lékař" / "py", lock)


def install(overlay: Overlay, wheels: Path) -> list[str]:
    runner = overlay.start_install(wheels)
    lines: list[str] = []
    runner.wait(300, lambda event: lines.append(str(event.get("text"))))
    overlay.finish_install(runner)
    return lines


def test_packages_are_installed_for_the_child_process_only(overlay: Overlay, wheels: Path) -> None:
    assert overlay.missing() == [NAME]
    lines = install(overlay, wheels)
    assert any("Successfully installed" in line for line in lines)
    assert overlay.missing() == []
    command = [sys.executable, "-c", f"import {NAME}; print({NAME}.value)"]
    child = subprocess.run(command, env=child_environment(overlay.folder), capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "42"
    with pytest.raises(ModuleNotFoundError):
        __import__(NAME)


def test_uninstalling_deletes_all_files(overlay: Overlay, wheels: Path) -> None:
    install(overlay, wheels)
    overlay.uninstall()
    assert not overlay.folder.exists()
    assert list(overlay.folder.parent.iterdir()) == []


def test_a_wrong_hash_keeps_the_installed_packages(overlay: Overlay, wheels: Path) -> None:
    install(overlay, wheels)
    overlay.lock.write_text(f"{NAME}=={VERSION} --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    with pytest.raises(InputError, match="could not be installed"):
        install(overlay, wheels)
    assert (overlay.folder / f"{NAME}.py").read_text(encoding="utf-8") == "value = 42\n"
    assert [path.name for path in overlay.folder.parent.iterdir()] == ["py"]


def test_a_cancelled_installation_leaves_no_files(overlay: Overlay, wheels: Path) -> None:
    runner = overlay.start_install(wheels)
    runner.kill()
    runner.wait(120)
    with pytest.raises(InputError):
        overlay.finish_install(runner)
    assert list(overlay.folder.parent.iterdir()) == []


def test_an_exported_file_installs_elsewhere(overlay: Overlay, wheels: Path, tmp_path: Path) -> None:
    install(overlay, wheels)
    overlay.export(tmp_path / "packages.zip")
    other = Overlay(tmp_path / "other" / "py", overlay.lock)
    other.import_from(tmp_path / "packages.zip")
    assert other.missing() == []
    assert (other.folder / f"{NAME}.py").read_bytes() == (overlay.folder / f"{NAME}.py").read_bytes()


def test_exporting_without_packages_is_refused(overlay: Overlay, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no packages"):
        overlay.export(tmp_path / "packages.zip")
    assert not (tmp_path / "packages.zip").exists()


def archive(path: Path, files: dict[str, bytes], sums: dict[str, str] | None = None) -> Path:
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} if sums is None else sums
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(LIST_NAME, json.dumps(listed))
        for name, content in files.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name", ["../evil.py", "/evil.py", "a/../../evil.py", "C:\\evil.py", "..\\evil.py", "C:evil.py"]
)
def test_a_path_out_of_the_folder_is_refused(overlay: Overlay, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"points out of the folder|not those of its checksum list"):
        overlay.import_from(archive(tmp_path / "evil.zip", {name: b"x"}))
    assert not list(tmp_path.rglob("*evil.py"))
    assert not overlay.folder.exists()


def test_a_link_is_refused(overlay: Overlay, tmp_path: Path) -> None:
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(LIST_NAME, json.dumps({"link": hashlib.sha256(b"/etc").hexdigest()}))
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        file.writestr(entry, b"/etc")
    with pytest.raises(InputError, match="points out of the folder"):
        overlay.import_from(path)


def test_an_altered_or_unlisted_file_is_refused(overlay: Overlay, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another checksum"):
        overlay.import_from(archive(tmp_path / "a.zip", {"a.py": b"x"}, {"a.py": "0" * 64}))
    with pytest.raises(InputError, match="checksum list"):
        overlay.import_from(archive(tmp_path / "b.zip", {"a.py": b"x"}, {}))
    with pytest.raises(InputError, match="checksum list"):
        overlay.import_from(archive(tmp_path / "c.zip", {}, {"a.py": "0" * 64}))
    assert not overlay.folder.exists()


def test_a_foreign_file_is_refused(overlay: Overlay, tmp_path: Path) -> None:
    random = tmp_path / "random.zip"
    random.write_bytes(b"no zip at all")
    with pytest.raises(InputError, match="not a package file"):
        overlay.import_from(random)
    with zipfile.ZipFile(random, "w") as file:
        file.writestr("a.py", "x")
    with pytest.raises(InputError, match="not a package file"):
        overlay.import_from(random)
    with pytest.raises(InputError, match="not a package file"):
        overlay.import_from(tmp_path / "missing.zip")


def test_too_little_space_and_too_long_paths_are_refused_before_writing(
    overlay: Overlay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="too deep"):
        overlay.check_place(path_limit=100)
    monkeypatch.setattr("deeprecon.panels.computer.overlay.REQUIRED_BYTES", 10**18)
    with pytest.raises(InputError, match="MB are free"):
        overlay.start_install()
    assert not overlay.folder.parent.exists()


def test_the_lock_file_of_the_library_is_parsed() -> None:
    required = Overlay(Path("nowhere")).required()
    assert {"nibabel", "safetensors", "matplotlib", "jsonargparse"} <= set(required)
    assert "torch" not in required
    assert Overlay(Path("nowhere")).missing() == []
