"""No code and no file that lies about is run or written through."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deeprecon.data import files
from deeprecon.data.files import atomic_path
from deeprecon.jobs.job import VERSION, Job
from deeprecon.jobs.process import child_environment, python_command


@pytest.mark.parametrize("name", ["nibabel", "numpy", "json", "argparse", "torch"])
def test_a_module_in_the_working_folder_is_not_imported(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()", encoding="utf-8")
    Job("seizure", "phantom", {}, {}, "out").save(tmp_path / "job")
    commands = [
        [sys.executable, "-m", "deeprecon", "scar", "reconstruct", "--help"],
        [sys.executable, "-m", "deeprecon", "--version"],
        [*python_command(sys.executable), str(tmp_path / "job")],
    ]
    for command in commands:
        ran = subprocess.run(
            command, env=child_environment(), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert not (tmp_path / "imported").exists(), command
        assert ran.returncode == 0, ran.stderr


def test_the_package_may_lie_in_the_working_folder() -> None:
    folder = Path(files.__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [sys.executable, "-m", "deeprecon", "--version"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert ran.stdout.strip() == VERSION


@pytest.mark.skipif(os.name != "posix", reason="makes links")
def test_a_link_under_the_name_of_a_temporary_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("precious", encoding="utf-8")
    names: list[str] = []
    for _ in range(2):
        with atomic_path(tmp_path / "a.txt") as part:
            names.append(part.name)
    assert names[0] != names[1]
    for name in (f".part-{os.getpid()}-a.txt", ".part-00-a.txt"):
        (tmp_path / name).symlink_to(precious)
    with atomic_path(tmp_path / "a.txt") as part:
        part.write_text("ours", encoding="utf-8")
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "00")
    with pytest.raises(FileExistsError), atomic_path(tmp_path / "a.txt"):
        pass
    assert precious.read_text(encoding="utf-8") == "precious"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "ours"


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no UTF-8")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_folders_and_files_may_have_any_name(tmp_path: Path, locale: str) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9\xff <b>"))
    folder.mkdir()
    environment = {**child_environment(), "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "deeprecon"]
    data, output = folder / "data", folder / "out"
    phantom = ["seizure", "phantom", "--users", "1", "--seizures", "1", "--minutes", "1", "--output", str(data)]
    prepare = ["seizure", "prepare", "--recordings", str(data / "events.json"), "--output", str(output)]
    (folder / "damaged.json").write_text("{", encoding="utf-8")
    damaged = [*prepare[:3], str(folder / "damaged.json"), *prepare[4:5], str(folder / "none")]
    codes = [
        subprocess.run([*command, *verb], env=environment, capture_output=True, check=False, timeout=120).returncode
        for verb in (phantom, prepare, damaged)
    ]
    assert codes == [0, 0, 2]
    assert (output / "result.json").is_file()
    assert not (folder / "none" / "result.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_files_have_the_usual_mode(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as part:
        part.write_text("ours", encoding="utf-8")
    (tmp_path / "b.txt").touch()
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "b.txt").stat().st_mode)
