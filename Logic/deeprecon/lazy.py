"""Names of a package that are loaded when they are first used (PEP 562)."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    A name of a submodule that is not in `places` is refused without loading anything: the import system asks for it
    before it imports the submodule.

    Args:
        package: its name.
        places: "module:object" by name, or "module:" for a module itself.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = pkgutil.resolve_name(places[name])
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return get, names
