"""The watchdog of the GUI thread: what it counts as our own, and what it lists apart."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def watched(host: Any, slot: Any) -> Any:
    """The calls of a slot that a button starts."""
    import qt
    from slicerhost.watchdog import Watchdog

    button, watchdog = qt.QPushButton("Go"), Watchdog()
    button.connect("clicked()", slot)
    with watchdog.watching():
        button.click()
    button.click()  # not watched any more
    (call,) = watchdog.calls
    return call


def test_the_time_of_our_code_and_of_what_it_calls_in_numpy_counts(host: Any) -> None:
    values = np.random.default_rng(0).random(3_000_000)
    spun = watched(host, lambda: spin(0.2))
    assert spun.own >= 0.2
    assert spun.most[0] == "spin in test_watchdog.py"
    call = watched(host, lambda: [np.sort(values) for _ in range(8)])
    assert call.own >= 0.05
    assert call.slicer == {}


def test_waiting_does_not_count(host: Any) -> None:
    assert watched(host, lambda: time.sleep(0.3)).own < 0.2


def test_a_slot_that_starts_another_is_one_call(host: Any) -> None:
    import qt

    inner = qt.QPushButton("Inner")
    inner.connect("clicked()", lambda: spin(0.05))

    def outer() -> None:
        inner.click()
        inner.click()

    call = watched(host, outer)
    assert call.name.endswith("outer")
    assert call.own >= 0.1


def test_long_methods_of_slicer_and_its_conversions_are_listed_apart(host: Any) -> None:
    import slicer

    values = np.zeros((64, 512, 512), np.float32)
    node = slicer.util.addVolumeFromArray(values)
    image = node.GetImageData()
    copy = image.NewInstance()
    call = watched(host, lambda: [copy.DeepCopy(image) for _ in range(20)])
    assert [name for name in call.slicer if name.endswith(".DeepCopy")]
    assert call.own < sum(call.slicer.values())

    def convert() -> None:
        for _ in range(20):
            slicer.util.updateVolumeFromArray(node, values)

    assert "slicer.util.updateVolumeFromArray" in watched(host, convert).slicer
