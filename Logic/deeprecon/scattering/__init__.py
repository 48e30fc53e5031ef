"""Images of contrast from scattered waves: inverse wave scattering."""

from deeprecon.lazy import attach

__all__ = [
    "Arrangement",
    "Band",
    "ContrastImages",
    "FarFieldData",
    "ScatteredFields",
    "evaluate",
    "export",
    "phantom",
    "prepare",
    "reconstruct",
    "train",
]
__getattr__, __dir__ = attach(__name__, {name: f"{__name__}.api:{name}" for name in __all__})
