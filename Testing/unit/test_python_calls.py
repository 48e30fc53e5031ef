"""Verbs called from Python: one way in with the shell, values checked in the same way, results as objects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon import cli
from deeprecon.calls.call import call
from deeprecon.calls.result import Result
from deeprecon.calls.signature import documented
from deeprecon.data.doubts import Doubt, DoubtError
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.job import Job
from deeprecon.jobs.process import child_environment
from deeprecon.jobs.verbs import METHODS

from .shell import HERE


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the calls of a test make their temporary folders."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.syspath_prepend(str(HERE / "jobs"))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    return folder


def work(**values: Any) -> Result:
    return call(Result, "fake", "work", values)


@pytest.fixture
def need() -> Callable[..., Result]:
    """A documented function."""

    @documented("fake")
    def need(**values: Any) -> Result:
        """Need an image.

        Returns
        -------
        Result
            Files.

        Examples
        --------
        >>> 1
        1
        """
        return call(Result, "fake", "need", values)

    return need


def test_a_result_has_its_files_figures_and_provenance(tmp_path: Path) -> None:
    found = work(steps=3, seed=7, output=tmp_path / "out")
    assert found.folder == tmp_path / "out"
    assert found.outputs["chain"].read_text(encoding="utf-8")
    assert found.figures == {"steps": 3, "loss": 1 / 3, "nothing": None}
    assert found.provenance["seed"] == 7
    assert (found.doubts, found.warnings) == ((), ())
    assert "loss: 0.3333" in repr(found)
    assert "outputs: chain\n" in repr(found)
    assert Job.load(tmp_path / "out" / ".job").parameters["steps"] == 3


def test_python_and_shell_give_the_same_bits(tmp_path: Path) -> None:
    image = tmp_path / "image.txt"
    image.write_text("an image", encoding="utf-8")
    found = work(masks=[image], labels=["a", "b"], output=tmp_path / "python")
    arguments = ["fake", "work", "--masks", str(image), "--labels", "a", "b", "--output", str(tmp_path / "shell")]
    assert cli.main(arguments) == cli.DONE
    shell = json.loads((tmp_path / "shell" / "result.json").read_text(encoding="utf-8"))
    python = json.loads((found.folder / "result.json").read_text(encoding="utf-8"))
    for part in ("outputs", "other_files", "metrics", "doubts"):
        assert python[part] == shell[part]
    assert Job.load(tmp_path / "python" / ".job") == Job.load(tmp_path / "shell" / ".job")


def test_without_an_output_the_results_are_temporary(own_temporary_folder: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(HERE / "jobs")!r})
from deeprecon.calls.call import call
from deeprecon.calls.result import Result
from deeprecon.jobs.verbs import METHODS
METHODS["fake"] = "fake_method"
print(call(Result, "fake", "work", {{}}).outputs["chain"].read_text().strip() != "", flush=True)
"""
    environment = {**child_environment(), "TMPDIR": str(own_temporary_folder)}
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "True", "its files are there as long as the process"
    assert list(own_temporary_folder.iterdir()) == [], "nothing of inputs or results is left"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": 0}, "steps is 0, expected 1 to"),
        ({"steps": "many"}, "steps: expected int, found 'many'"),
        ({"steps": float("nan")}, "steps: expected int"),
        ({"slice_thickness": float("nan")}, "slice_thickness is nan"),
        ({"mode": "dance"}, "mode: 'dance' is not one of ok, abort"),
        ({"image": "gone.nii"}, "gone.nii does not exist"),
        ({"image": 3}, "The image input is a int"),
        ({"image": np.zeros(3)}, "The image input is a ndarray"),
        ({"mode": "input"}, "The image shows nothing"),
        ({"seed": -1}, "seed is -1"),
        ({"threads": "2"}, "threads: expected int"),
        ({"precision": "fp8"}, "precision: 'fp8' is not one of auto"),
        ({"accept": "no-such-code"}, "There is no code no-such-code"),
    ],
)
def test_values_that_cannot_be_used_are_refused_and_leave_nothing(
    values: dict[str, Any], words: str, own_temporary_folder: Path
) -> None:
    with pytest.raises(InputError) as caught:
        work(**values)
    assert words in str(caught.value)
    assert list(own_temporary_folder.iterdir()) == []


def test_an_error_of_the_computation_is_raised_as_it_was(own_temporary_folder: Path) -> None:
    with pytest.raises(KeyError, match="bug"):
        work(mode="bug")
    assert list(own_temporary_folder.iterdir()) == []


def test_a_contradiction_is_raised_with_its_codes_and_accepted_by_them() -> None:
    with pytest.raises(DoubtError) as caught:
        work(mode="contradiction")
    assert caught.value.codes == ("test-doubt",)
    assert caught.value.__notes__ == ["To continue all the same: accept=['test-doubt']"]
    found = work(mode="contradiction", accept=caught.value.codes)
    assert [doubt.code for doubt in found.doubts] == ["test-doubt"]
    assert found.warnings == (str(found.doubts[0]),)
    assert work(mode="contradiction", accept="test-doubt").doubts


def test_messages_name_keywords_where_the_shell_names_options(monkeypatch: pytest.MonkeyPatch) -> None:
    import fake_method

    def advise(inputs: Any, parameters: Any, run: Any) -> Any:
        run.reporter.warning("Give --slice-thickness, as in fake prepare --levels 3.")
        if parameters.mode.value == "input":
            raise InputError("--masks are missing.", "Give --masks or --no-such-option; --accept CODE, --seed 3.")
        run.consider([Doubt("test-doubt", "a--steps.txt", "Too few --steps.", "Give --steps 9.", parameters.loud)])
        return fake_method.work(inputs, parameters, run)

    original = fake_method.VERBS["work"]
    monkeypatch.setitem(fake_method.VERBS, "work", type(original)(**{**vars(original), "function": advise}))
    with pytest.raises(InputError) as refused:
        work(mode="input")
    assert str(refused.value) == "`masks` are missing. Give `masks` or --no-such-option; `accept` CODE, `seed` 3."
    with pytest.raises(DoubtError) as doubted:
        work()
    assert (doubted.value.hint, doubted.value.doubts[0].way_out) == ("Give `steps` 9.", "Give `steps` 9.")
    assert "a--steps.txt: Too few `steps`." in str(doubted.value)
    found = work(loud=True)
    assert found.warnings[0] == "Give `slice_thickness`, as in fake prepare --levels 3."
    assert found.doubts[0].text == "Too few `steps`."
    assert repr(found).count("Too few `steps`.") == 1


def test_members_of_enumerations_and_numbers_of_numpy_are_values(tmp_path: Path) -> None:
    from fake_method import Mode

    found = work(mode=Mode.OK, steps=np.int64(2), slice_thickness=np.float32(8), labels=np.array(["a", "b"]))
    assert found.provenance["parameters"]["steps"] == 2
    assert found.provenance["parameters"]["labels"] == ["a", "b"]
    assert work(labels="scar=3").provenance["parameters"]["labels"] == ["scar=3"], "one value stands for a list of one"


def test_data_are_given_as_the_file_that_would_hold_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([1.5, 2, 3, 1]), slice_thickness=2.5)
    seen = []

    def look(inputs: Any, parameters: Any, run: Any) -> Any:
        seen.extend((path.name, read_volume(path)) for path in inputs.masks)
        return original.function(inputs, parameters, run)

    import fake_method

    original = fake_method.VERBS["pack"]
    changed = type(original)(**{**vars(original), "function": look})
    monkeypatch.setitem(fake_method.VERBS, "pack", changed)
    call(Result, "fake", "pack", {"masks": [volume, volume]})
    assert [name for name, _ in seen] == ["masks-1.nrrd", "masks-2.nrrd"]
    assert np.array_equal(seen[0][1].array, volume.array)
    assert np.array_equal(seen[0][1].ijk_to_ras, volume.ijk_to_ras)
    assert seen[0][1].slice_thickness == 2.5


def test_progress_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    work()
    assert capsys.readouterr().err == ""
    work(progress=True)
    assert "100 %" in capsys.readouterr().err


def test_results_are_not_written_where_inputs_lie(tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match="lies in the output folder"):
        work(image=tmp_path / "image.txt", output=tmp_path)


def test_foreign_files_stay_unless_overwritten(tmp_path: Path) -> None:
    (tmp_path / "chain.txt").write_text("precious", encoding="utf-8")
    assert work(output=tmp_path).folder == tmp_path / "result"
    assert work(output=tmp_path, overwrite=True).folder == tmp_path
    assert (tmp_path / "chain.txt").read_text(encoding="utf-8") != "precious"


def test_one_process_is_asked_for_where_torchrun_started_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="torchrun -m deeprecon"):
        work()


def test_a_needed_input_may_stand_without_its_name_and_others_may_not(
    tmp_path: Path, need: Callable[..., Result]
) -> None:
    image = tmp_path / "image.txt"
    image.write_text("", encoding="utf-8")
    assert need(image).outputs["series"].is_dir()
    assert need(image=os.fspath(image), steps=2).figures == {}
    refused: list[Callable[[], Result]] = [need, lambda: need(image, 3), lambda: need(image, wings=2)]
    for one in refused:
        with pytest.raises(TypeError):
            one()


def test_the_documentation_of_a_function_has_every_setting_with_choices_range_and_default(
    need: Callable[..., Result],
) -> None:
    assert need.__doc__ is not None
    sections = [line for line in need.__doc__.splitlines() if line and not line.startswith((" ", "-"))]
    heads = [line for line in sections if line in ("Parameters", "Returns", "Raises", "Examples")]
    assert heads == ["Parameters", "Returns", "Raises", "Examples"]
    assert "image : path or data\n    an image that must be given\n" in need.__doc__
    assert "slice_thickness : float, optional\n    thickness of a slice (0.1 to 30 mm)\n" in need.__doc__
    assert "labels : str, or a list of them, optional" in need.__doc__
    assert "mode : {'ok', 'abort'" in need.__doc__
    assert "steps : int, default 5\n    steps to take (1 to 1000000)\n" in need.__doc__
