"""Denoising of diffusion MRI scans."""

from deeprecon.lazy import attach

__all__ = [
    "EnhancedScan",
    "enhance",
    "evaluate",
    "export",
    "phantom",
    "prepare",
    "train",
]
__getattr__, __dir__ = attach(__name__, {name: f"{__name__}.api:{name}" for name in __all__})
