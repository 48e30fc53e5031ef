"""Scar of the heart from late gadolinium enhancement slices."""

from deeprecon.lazy import attach

__all__ = [
    "Reconstruction",
    "ScarMap",
    "Ventricles",
    "activation",
    "apply",
    "cross_validate",
    "evaluate",
    "export",
    "fibers",
    "import_checkpoint",
    "phantom",
    "prepare",
    "reconstruct",
    "report_group",
    "simulation_mesh",
    "train",
]
__getattr__, __dir__ = attach(__name__, {name: f"{__name__}.api:{name}" for name in __all__})
