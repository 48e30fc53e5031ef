"""The entry point of the method: its verbs, for `python -m deeprecon ctpa VERB` and the panel."""

from __future__ import annotations

from typing import Any

from deeprecon.ctpa import parameters as settings
from deeprecon.ctpa.atlas_pipeline import synthesize_from_atlas
from deeprecon.ctpa.evaluation import evaluate
from deeprecon.ctpa.folder import synthesize_folder
from deeprecon.ctpa.pipeline import synthesize
from deeprecon.ctpa.simulate.files import phantom
from deeprecon.ctpa.training.preparation import prepare
from deeprecon.ctpa.write.dicom import export
from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.run import Outcome, Run
from deeprecon.jobs.verbs import Verb


def synthesize_any(inputs: settings.SynthesizeInputs, parameters: settings.SynthesizeParameters, run: Run) -> Outcome:
    """Make synthetic CTs of an X-ray, or of each one in a folder.

    Raises:
        InputError: a bundle with the method atlas, an atlas with the method network, or see the method.
    """
    _check_inputs(inputs, parameters.method)
    make = synthesize if parameters.method is settings.MethodName.NETWORK else synthesize_from_atlas
    if inputs.xray.is_dir():
        return synthesize_folder(inputs, parameters, run, make)
    return make(inputs, parameters, run)


def _check_inputs(inputs: settings.SynthesizeInputs, method: settings.MethodName) -> None:
    """Check that the inputs are those of the method.

    Raises:
        InputError: they are another method's.
    """
    if method is settings.MethodName.ATLAS and inputs.bundle is not None:
        raise InputError(
            "A model bundle was given, and an atlas has no use for it.", "Leave out --bundle, or --method."
        )
    if method is settings.MethodName.NETWORK and (inputs.atlas or inputs.lateral):
        given = "An atlas" if inputs.atlas else "A lateral film"
        raise InputError(f"{given} was given, and a network has no use for it.", "Add --method atlas.")
    if inputs.lateral is not None and inputs.xray.is_dir():
        raise InputError("One lateral film was given for a folder of X-rays.", "Give one X-ray, or --cases.")


def train_autoencoder(
    inputs: settings.TrainAutoencoderInputs, parameters: settings.TrainAutoencoderParameters, run: Run
) -> Outcome:
    """Train an autoencoder, see `deeprecon.ctpa.training.autoencoder_training`; imports torch."""
    from deeprecon.ctpa.training.autoencoder_training import train_autoencoder as train

    return train(inputs, parameters, run)


def train_diffusion(
    inputs: settings.TrainDiffusionInputs, parameters: settings.TrainDiffusionParameters, run: Run
) -> Outcome:
    """Train a denoiser, see `deeprecon.ctpa.training.denoiser_training`; imports torch."""
    from deeprecon.ctpa.training.denoiser_training import train_diffusion as train

    return train(inputs, parameters, run)


def _without_torch(parameters: Any) -> bool:
    return False


VERBS = {
    "phantom": Verb(
        "simulate chests and their X-rays, or the X-ray of your CT, with a manifest",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=_without_torch,
    ),
    "prepare": Verb(
        "bring pairs of CT and X-ray onto one grid, into a store for training",
        settings.PrepareInputs,
        settings.PrepareParameters,
        prepare,
        precisions=lambda parameters: ("fp32", "bf16"),
    ),
    "train-autoencoder": Verb(
        "train an autoencoder on a prepared store, or on phantoms, into a model bundle",
        settings.TrainAutoencoderInputs,
        settings.TrainAutoencoderParameters,
        train_autoencoder,
        keeps_checkpoint=True,
        precisions=lambda parameters: ("fp32", "bf16"),
    ),
    "train-diffusion": Verb(
        "train a denoiser on a prepared store with its X-rays, into a model bundle",
        settings.TrainDiffusionInputs,
        settings.TrainDiffusionParameters,
        train_diffusion,
        keeps_checkpoint=True,
        precisions=lambda parameters: ("fp32", "bf16"),
    ),
    "synthesize": Verb(
        "make synthetic CTs of a chest X-ray, and assess their quality",
        settings.SynthesizeInputs,
        settings.SynthesizeParameters,
        synthesize_any,
    ),
    "evaluate": Verb(
        "compare a synthetic CT with the true one",
        settings.EvaluateInputs,
        NoParameters,
        evaluate,
        needs_torch=_without_torch,
    ),
    "export": Verb(
        "write a synthetic CT as a DICOM series that is marked as synthetic",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        needs_torch=_without_torch,
    ),
}
