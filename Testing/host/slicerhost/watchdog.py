"""How long each call from the event loop holds the GUI thread, in CPU time of that thread, which no other load changes.

A call is a slot that the event loop, or a click of a test, has started; what it calls in turn belongs to it. Of its
time only that counts as our own which a module or library under test spends, in its code and in what that calls in
numpy and the like. What Slicer does, and what the stand-ins do in its place, is left out; its long calls are listed.
"""

from __future__ import annotations

import cProfile
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from . import pythonqt

_VTK = re.compile(r"<method '(\w+)' of '([\w.]*vtk\w+)' objects>")
"""Methods of VTK and MRML objects, as the profiler names them."""
_SLICER = re.compile(r"[/\\](slicerhost|slicer|slicer_core|PySide6|shiboken6)[/\\]")
"""Folders of files whose code is Slicer's, or stands for it."""
_CONVERSIONS = re.compile(r"(load|save|export)\w+|update\w+FromArray")
"""Functions of slicer.util that load, save or convert."""
_LONG = 0.02
"""Seconds from which a call of Slicer's is listed."""


@dataclass(frozen=True)
class Call:
    """One call of a slot.

    Attributes:
        name: of the slot.
        own: CPU time in seconds of our own code.
        slicer: long calls of Slicer's -> their CPU time in seconds.
        most: our own functions with the most of it, in themselves and in compiled code that they call.
    """

    name: str
    own: float
    slicer: dict[str, float] = field(default_factory=dict)
    most: tuple[str, ...] = ()


class Watchdog:
    """Records the calls of slots while `watching`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._inside = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches every slot that is called within."""
        pythonqt.callSlot = self._call
        try:
            yield
        finally:
            pythonqt.callSlot = pythonqt.plainCall

    def _call(self, slot: Callable[..., Any], *arguments: Any) -> None:
        self.measure(getattr(slot, "__qualname__", repr(slot)), slot, *arguments)

    def measure(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function under this name; only the outermost call is measured."""
        if self._inside:
            function(*arguments)
            return
        self._inside = True
        profile = cProfile.Profile(time.thread_time)
        try:
            profile.runcall(function, *arguments)
        finally:
            self._inside = False
            self.calls.append(_call_of(name, profile))

    def longest(self) -> list[Call]:
        """The call of each name with the most of our own time, and all long calls of Slicer's; the longest first."""
        found: dict[str, Call] = {}
        for call in self.calls:
            known = found.get(call.name, call)
            longer = max(known, call, key=lambda each: each.own)
            slicer = {name: max(known.slicer.get(name, 0.0), call.slicer.get(name, 0.0))
                      for name in (*known.slicer, *call.slicer)}  # fmt: skip
            found[call.name] = replace(longer, slicer=slicer)
        return sorted(found.values(), key=lambda call: -call.own)


def _call_of(name: str, profile: cProfile.Profile) -> Call:
    slicer: dict[str, float] = {}
    spent: dict[str, float] = {}
    for entry in profile.getstats():
        if isinstance(entry.code, str):  # compiled code: it belongs to who calls it
            continue
        file, function = entry.code.co_filename, entry.code.co_name
        if _SLICER.search(file):
            if file.endswith("util.py") and _CONVERSIONS.fullmatch(function) and entry.totaltime > _LONG:
                slicer[f"slicer.util.{function}"] = entry.totaltime
            continue
        seconds = entry.inlinetime
        for callee in entry.calls or ():
            if not isinstance(callee.code, str) or "PySide6" in callee.code:
                continue
            if (method := _VTK.search(callee.code)) and callee.inlinetime > _LONG:
                slicer[f"{method[2].rpartition('.')[2]}.{method[1]}"] = callee.inlinetime
            else:
                seconds += callee.inlinetime
        place = f"{function} in {os.path.basename(file)}"
        spent[place] = spent.get(place, 0.0) + seconds
    most = sorted(spent, key=lambda place: -spent[place])[:3]
    return Call(name, sum(spent.values()), slicer, tuple(most))
