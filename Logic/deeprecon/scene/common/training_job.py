"""The job of a training, in a folder of the user that also gets the checkpoints and the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.results.publication import finished_result, last_result
from deeprecon.scene.common.results import read_result

_CHECKPOINT = "checkpoint"


def write_training(
    folder: Path, method: str, verb: str, inputs: Any, parameters: Any, device: str = "auto", seed: int = 0
) -> None:
    """Write the job of a new training into the user's folder, which also gets the model.

    Args:
        folder: an empty or a new one.
        method, verb: see `jobs/verbs.py`.
        inputs, parameters: dataclasses of the verb; paths are made absolute.
        device: "auto", "cpu", "cuda:0", ...
        seed: of every random number.

    Raises:
        InputError: settings that contradict each other, or a folder that is not empty.
    """
    if reasons := parameters.validate():
        raise InputError(f"{reasons[0]}.")
    if reason := new_training_problem(folder):
        raise InputError(reason)
    Job(method, verb, _absolute(to_json(inputs)), to_json(parameters), device=device, seed=seed).save(folder)


def new_training_problem(folder: Path) -> str:
    """Why a new training cannot be started in a folder; empty if it can."""
    if folder.exists() and not folder.is_dir():
        return f"{folder} is a file: choose a folder."
    if folder.is_dir() and any(folder.iterdir()):
        return f"{folder.name} is not empty: choose another folder, or resume the training that is in it."
    return ""


def resume_problem(folder: Path, method: str, verb: str) -> str:
    """Why the training in a folder cannot be resumed; empty if it can."""
    try:
        job = Job.load(folder)
    except InputError:
        return "The training folder holds no training yet: start one, or choose another folder."
    if (job.method, job.verb) != (method, verb):
        return "The training folder holds a run of another kind: choose another folder."
    if finished_result(folder) is not None:
        return "The training in this folder is finished: use its model, or choose another folder."
    checkpoint = folder / _CHECKPOINT
    if not (checkpoint.is_dir() and any(checkpoint.iterdir())):
        return (
            "The training in this folder is finished: use its model, or choose another folder."
            if trained_model(folder)
            else "It has no checkpoint yet: start a new one."
        )
    return ""


def trained_model(folder: Path) -> Path | None:
    """Folder of the model bundle that a training in a folder wrote, or one whose result it is; None if there is none.

    The result lies below the folder where it would have replaced other files.
    """
    folder = last_result(folder) or folder
    try:
        entry = read_result(folder)["outputs"].get("bundle")
    except InputError:
        return None
    bundle = folder / str(entry["path"]) if isinstance(entry, dict) and "path" in entry else None
    return bundle if bundle is not None and bundle.is_dir() else None


def find_examples(paths: Mapping[str, Path | None], endings: Sequence[str]) -> list[dict[str, Path]]:
    """One example, or, if the paths are folders, one for each file name that they have in common.

    Args:
        paths: name of the input -> its file or folder; None if it is left out.
        endings: of the files that are taken from folders, such as ".nii.gz". A folder without such files, as of a DICOM
            series, is one example.

    Raises:
        InputError: something is missing, or the folders do not hold the same names.
    """
    given = {name: path for name, path in paths.items() if path is not None}
    for name, path in given.items():
        if not path.exists():
            raise InputError(f"The {name} {path} does not exist.", "Check the path.")
    files = {name: _files(path, endings) for name, path in given.items()}
    if not any(files.values()):
        return [given]
    first = next(iter(given))
    for name in given:
        if files[name].keys() != files[first].keys():
            odd = ", ".join(sorted(files[name].keys() ^ files[first].keys())[:3])
            raise InputError(
                f"{given[first].name} and {given[name].name} do not hold files of the same names: {odd}.",
                "Give the files of an example the same name in each folder, or add the examples one by one.",
            )
    return [{name: files[name][stem] for name in given} for stem in sorted(files[first])]


def _files(path: Path, endings: Sequence[str]) -> dict[str, Path]:
    """File name without its ending -> file, of a folder."""
    found = {}
    for file in sorted(path.iterdir()) if path.is_dir() else ():
        ending = next((each for each in endings if file.name.lower().endswith(each)), None)
        if ending is not None:
            found[file.name[: -len(ending)]] = file
    return found


def _absolute(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs with absolute paths: those in a job are relative to its folder."""

    def absolute(value: Any) -> Any:
        if isinstance(value, list):
            return [absolute(entry) for entry in value]
        return value if value is None else str(Path(value).absolute())

    return {name: absolute(value) for name, value in inputs.items()}
