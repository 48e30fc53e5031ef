"""The front door of the method: what `python -m deeprecon ctpa VERB` and the panel run."""

from __future__ import annotations

from typing import Any

from deeprecon.ctpa import parameters as settings
from deeprecon.ctpa.evaluation import evaluate
from deeprecon.ctpa.pipeline import synthesize
from deeprecon.ctpa.simulate.files import phantom
from deeprecon.ctpa.training.preparation import prepare
from deeprecon.ctpa.write.dicom import export
from deeprecon.jobs.run import Outcome, Run
from deeprecon.jobs.verbs import Verb


def train_autoencoder(
    inputs: settings.TrainAutoencoderInputs, parameters: settings.TrainAutoencoderParameters, run: Run
) -> Outcome:
    """Train an autoencoder, see `deeprecon.ctpa.training.autoencoder`."""
    from deeprecon.ctpa.training.autoencoder import train_autoencoder as train

    return train(inputs, parameters, run)


def train_diffusion(
    inputs: settings.TrainDiffusionInputs, parameters: settings.TrainDiffusionParameters, run: Run
) -> Outcome:
    """Train a denoiser, see `deeprecon.ctpa.training.diffusion`."""
    from deeprecon.ctpa.training.diffusion import train_diffusion as train

    return train(inputs, parameters, run)


def _never(parameters: Any) -> bool:
    return False


VERBS = {
    "phantom": Verb(
        "make chests whose CT is known, or take your CT, with an X-ray of each, and their manifest",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=_never,
    ),
    "prepare": Verb(
        "bring pairs of CT and X-ray onto one grid, into a store that training reads from",
        settings.PrepareInputs,
        settings.PrepareParameters,
        prepare,
        precisions=lambda parameters: ("fp32", "bf16"),
    ),
    "train-autoencoder": Verb(
        "train an autoencoder on a prepared store, or on phantoms, and keep it as a model bundle",
        settings.TrainAutoencoderInputs,
        settings.TrainAutoencoderParameters,
        train_autoencoder,
        precisions=lambda parameters: ("fp32", "bf16"),
    ),
    "train-diffusion": Verb(
        "train a denoiser on a prepared store with its X-rays, and keep all as a model bundle",
        settings.TrainDiffusionInputs,
        settings.TrainDiffusionParameters,
        train_diffusion,
        precisions=lambda parameters: ("fp32", "bf16"),
    ),
    "synthesize": Verb(
        "make synthetic CTs of a chest X-ray, and say how far to trust them",
        settings.SynthesizeInputs,
        settings.SynthesizeParameters,
        synthesize,
    ),
    "evaluate": Verb(
        "hold a synthetic CT against the true one",
        settings.EvaluateInputs,
        settings.EvaluateParameters,
        evaluate,
        needs_torch=_never,
    ),
    "export": Verb(
        "write a synthetic CT as a DICOM series that says what it is",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        needs_torch=_never,
    ),
}
