"""Finding out what is wrong with a job before anything is computed."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.job import BUNDLE_CARD, Job
from deeprecon.jobs.parameters import fields_of, from_json
from deeprecon.jobs.verbs import Verb, load_verb


def check_job(job: Job, folder: Path) -> tuple[Verb, Any, Any]:
    """The verb, the inputs with absolute paths, and the parameters of a job.

    Raises:
        InputError: unknown method or verb, unknown, missing or impossible values, or an input file that is not there.
    """
    verb = load_verb(job.method, job.verb)
    inputs: Any = from_json(verb.inputs, job.inputs)
    located: dict[str, Any] = {}
    for name, paths in input_paths(inputs).items():
        found = tuple(Path(os.path.abspath(folder / path)) for path in paths)
        for path in found:
            if not path.exists():
                raise InputError(f"The {name} input {path} does not exist.", "Check the path.")
            if not (path.is_file() or path.is_dir()):
                raise InputError(f"The {name} input {path} is neither a file nor a folder.", "Give a file.")
            if (
                name == "bundle" and not (path / BUNDLE_CARD).is_file()
            ):  # before a large folder is read for its checksum
                message = f"{path} is no model bundle: {BUNDLE_CARD} cannot be read."
                raise InputError(message, "Choose a bundle's folder.")
        located[name] = found if isinstance(getattr(inputs, name), tuple) else found[0]
    parameters: Any = from_json(verb.parameters, job.parameters)
    if reasons := parameters.validate():
        raise InputError("; ".join(reason.rstrip(".") for reason in reasons) + ".")
    if job.part and not verb.in_parts(parameters):
        raise InputError(f"{job.method} {job.verb} makes no fits in parts with these settings.")
    return verb, replace(inputs, **located), parameters


def check_output(output: Path) -> None:
    """Find out, before computing, whether results can be written; makes the folder.

    Raises:
        InputError: they cannot.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".part-", dir=output):
            pass
    except OSError as error:
        message = f"Cannot write to the folder {output}: {error.strerror or error}."
        raise InputError(message, "Choose another folder.") from error


def input_paths(inputs: Any) -> dict[str, tuple[Path, ...]]:
    """The paths that an inputs dataclass holds, by field name; fields left out are left out."""
    found = {}
    for field in fields_of(type(inputs)):
        value = getattr(inputs, field.name)
        if field.type is Path and value:
            found[field.name] = value if field.many else (value,)
    return found
