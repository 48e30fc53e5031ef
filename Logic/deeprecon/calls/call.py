"""A verb called from Python: its values become a job, which runs as one from the shell does."""

from __future__ import annotations

import atexit
import enum
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import vtkPolyData

from deeprecon.calls.keywords import doubts_with_keywords, say_keywords, with_keywords
from deeprecon.calls.result import Result
from deeprecon.data.diffusion.files import write_dwi
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import DoubtError
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.segmentation import Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.command import JOB_FOLDER, Command, create_job_folder
from deeprecon.jobs.console import Console
from deeprecon.jobs.events import Event
from deeprecon.jobs.job import MAX_SEED, MAX_THREADS, Precision
from deeprecon.jobs.parameters import Field, Parameters, Range, fields_of, from_json
from deeprecon.jobs.verbs import load_verb
from deeprecon.training.ranks import is_distributed
from deeprecon.worker import perform_job

R = TypeVar("R", bound=Result)
Input = str | os.PathLike[str] | Volume | Segmentation | Mesh | DwiScan | npt.NDArray[Any]
"""A file or folder, or what it would hold; each method takes further kinds of data."""
Saver = Callable[[Path, Any], Path]
"""(path without an ending, data) -> the file that it was written to."""
Savers = Mapping[type, Saver]


@dataclass(frozen=True)
class RunOptions(Parameters):
    """What every call takes besides the inputs and settings of its verb."""

    output: Annotated[Path | None, "folder of the results; left out, a temporary one until Python ends"] = None
    overwrite: Annotated[bool, "also replace files in the output folder that are not of an earlier result"] = False
    accept: Annotated[tuple[str, ...], "codes of contradictions in the inputs with which to continue"] = ()
    device: Annotated[str, "auto, cpu, cuda:0 or mps"] = "auto"
    threads: Annotated[int, Range(0, MAX_THREADS), "CPU threads; 0: what is fastest"] = 0
    precision: Annotated[Precision, "of the computation"] = Precision.AUTO
    seed: Annotated[int, Range(0, MAX_SEED), "of all random numbers"] = 0
    progress: Annotated[bool, "show on stderr what the shell shows"] = False


def call(kind: type[R], method: str, name: str, values: Mapping[str, Any], savers: Savers | None = None) -> R:
    """Run a verb in this process.

    Data among the inputs are first written to files of a temporary folder, so that there is one way into a method.

    Args:
        kind: of the result.
        method, name: of the verb.
        values: inputs, settings and `RunOptions` by name; what is not given has its default.
        savers: of kinds of data that only this method has.

    Raises:
        InputError: values or files cannot be used, or torchrun started several processes.
        DoubtError: the inputs contradict themselves; its note says what `accept` takes.
        Exception: whatever else went wrong, such as memory that ran out.
    """
    if is_distributed():
        raise InputError("A call computes in one process.", "Train in several with torchrun -m deeprecon METHOD VERB.")
    verb, savers = load_verb(method, name), {**_SAVERS, **(savers or {})}
    options = from_json(RunOptions, _settings(RunOptions, values))
    if reasons := options.validate():
        raise InputError("; ".join(reasons) + ".")
    with tempfile.TemporaryDirectory(prefix="deeprecon-inputs-") as folder:
        inputs = {
            field.name: _as_files(field, values[field.name], Path(folder), savers)
            for field in fields_of(verb.inputs)
            if values.get(field.name) is not None
        }
        command = Command(
            method,
            name,
            inputs,
            _settings(verb.parameters, values),
            device=options.device,
            threads=options.threads,
            precision=options.precision.value,
            seed=options.seed,
            accept=options.accept,
            overwrite=options.overwrite,
        )
        console = Console() if options.progress else None
        if options.output is not None:
            return _run(kind, command, Path(os.path.abspath(options.output)), console)
        output = Path(tempfile.mkdtemp(prefix="deeprecon-"))
        try:
            result = _run(kind, command, output, console)
        except BaseException:
            shutil.rmtree(output, ignore_errors=True)
            raise
    # Not as soon as the result is gone: its paths may be in use, as in call(...).outputs["mesh"].
    atexit.register(shutil.rmtree, output, ignore_errors=True)
    return result


def _run(kind: type[R], command: Command, output: Path, console: Console | None) -> R:
    warnings: list[str] = []
    places: list[str] = []
    names = {
        field.name for cls in (command.verb.inputs, command.verb.parameters, RunOptions) for field in fields_of(cls)
    }

    def show(event: Event) -> None:
        if event["type"] == "warning":
            event = {**event, "message": with_keywords(event["message"], names)}
            warnings.append(event["message"])
        elif event["type"] == "result":
            places.append(event["path"])
        if console is not None:
            console.show(event)

    folder = output / JOB_FOLDER
    try:
        create_job_folder(folder, command.job(folder))
        perform_job(folder, show)
    except InputError as error:
        say_keywords(error, names)
        if isinstance(error, DoubtError):
            error.add_note(f"To continue all the same: accept={list(error.codes)}")
        raise
    finally:
        if console is not None:
            console.finish()
    result = kind.load(Path(os.path.normpath(folder / places[0])).parent, tuple(warnings))
    return replace(result, doubts=doubts_with_keywords(result.doubts, names))


def _settings(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the fields of a dataclass that are given, as JSON values."""
    return {field.name: _plain(field, values[field.name]) for field in fields_of(cls) if field.name in values}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _plain(field: Field, value: Any) -> Any:
    """A setting as a JSON value; one value stands for a list of one."""

    def single(entry: Any) -> Any:
        if isinstance(entry, enum.Enum):
            return entry.value
        if isinstance(entry, np.generic):
            return entry.item()
        return os.fspath(entry) if isinstance(entry, os.PathLike) else entry

    if not field.many:
        return single(value)
    return [single(entry) for entry in _listed(value.tolist() if isinstance(value, np.ndarray) else value)]


def _as_files(field: Field, value: Any, folder: Path, savers: Savers) -> Any:
    """An input as paths in text form; data are written below `folder` under the name of the input."""
    entries = _listed(value) if field.many else [value]
    names = [field.name] if len(entries) == 1 else [f"{field.name}-{number}" for number in range(1, len(entries) + 1)]
    paths = [_as_file(field.name, entry, folder / name, savers) for entry, name in zip(entries, names, strict=True)]
    return paths if field.many else paths[0]


def _as_file(name: str, entry: Any, path: Path, savers: Savers) -> str:
    if isinstance(entry, str | os.PathLike):
        return os.fsdecode(entry)
    save = next((save for kind, save in savers.items() if isinstance(entry, kind)), None)
    if save is None:
        kinds = ", ".join(sorted(kind.__name__ for kind in savers))
        raise InputError(f"The {name} input is a {type(entry).__name__}.", f"Give a path or one of: {kinds}.")
    return str(save(path, entry))


def _save_volume(path: Path, volume: Volume) -> Path:
    path = path.with_name(f"{path.name}.nrrd")
    write_volume(path, volume)
    return path


def _save_segmentation(path: Path, segmentation: Segmentation) -> Path:
    path = path.with_name(f"{path.name}.seg.nrrd")
    write_segmentation(path, segmentation)
    return path


def _save_mesh(path: Path, mesh: Mesh) -> Path:
    path = path.with_name(f"{path.name}.{'vtp' if isinstance(mesh.dataset, vtkPolyData) else 'vtu'}")
    write_mesh(path, mesh)
    return path


def _save_scan(path: Path, scan: DwiScan) -> Path:
    return write_dwi(path.with_name(f"{path.name}.nii"), scan)["dwi"]


_SAVERS: Savers = {
    Volume: _save_volume,
    Segmentation: _save_segmentation,
    Mesh: _save_mesh,
    DwiScan: _save_scan,
}
