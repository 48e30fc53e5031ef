"""Synthetic CT pulmonary angiograms of a chest X-ray."""

from deeprecon.lazy import attach

__all__ = [
    "SyntheticCt",
    "evaluate",
    "export",
    "phantom",
    "prepare",
    "synthesize",
    "train_autoencoder",
    "train_diffusion",
]
__getattr__, __dir__ = attach(__name__, {name: f"{__name__}.api:{name}" for name in __all__})
