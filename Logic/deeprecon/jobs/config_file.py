"""Checks of a file of options before it is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from deeprecon.data.errors import InputError

MAX_BYTES = 2**16
MAX_BRACKETS = 100
"""A list for each option is less; many nested ones take the parser hours."""


def check_config_files(arguments: Sequence[str]) -> None:
    """Check the files of --config on a command line: text of a usual size, without YAML's references.

    A reference repeats what it names: a few lines of them stand for billions of values.

    Raises:
        InputError: names the file and what is wrong.
    """
    following = [value for name, value in pairwise(arguments) if name == "--config"]
    joined = [name.partition("=")[2] for name in arguments if name.startswith("--config=")]
    for name in (*following, *joined):
        if Path(name).is_file():  # else the parser says so
            _check(Path(name))


def _check(path: Path) -> None:
    import yaml

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes, too many for a file of options.", "Check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.count("[") + text.count("{") > MAX_BRACKETS:
            raise InputError(f"{path} is nested too deeply for a file of options.", "Check the path.")
        references = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from error
    except yaml.YAMLError:
        return  # the parser says where
    if references:
        raise InputError(f"{path} has YAML references (*name), which are not supported.", "Write the values out.")
