"""Seizure detection from a wrist accelerometer."""

from deeprecon.lazy import attach

__all__ = [
    "Detections",
    "configure",
    "cross_validate",
    "detect",
    "evaluate",
    "export",
    "phantom",
    "prepare",
    "rescore",
    "train",
]
__getattr__, __dir__ = attach(__name__, {name: f"{__name__}.api:{name}" for name in __all__})
