"""The verbs of the command line: what `python -m deeprecon scattering VERB` runs."""

from __future__ import annotations

from typing import Any

from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.verbs import Verb
from deeprecon.scattering import parameters as settings
from deeprecon.scattering import pipeline
from deeprecon.scattering.parameters import Family, Method


def _single_precision(parameters: Any) -> tuple[str, ...]:
    """The phase of waves needs fp32."""
    return ("fp32",)


VERBS = {
    "reconstruct": Verb(
        "contrast images from far fields, or from measured fields of any arrangement",
        settings.ReconstructInputs,
        settings.ReconstructParameters,
        pipeline.reconstruct,
        needs_torch=lambda parameters: (
            parameters.method in (Method.BCRNET, Method.FULLWAVE, Method.MNN) or parameters.misfits > 0
        ),
        precisions=_single_precision,
    ),
    "train": Verb(
        "train a network, and keep it as a model bundle: BCR-Net on far fields, MNN-H2 for measured fields",
        settings.TrainInputs,
        settings.TrainParameters,
        pipeline.train,
    ),
    "phantom": Verb(
        "simulate far fields of random objects",
        settings.PhantomInputs,
        settings.PhantomParameters,
        pipeline.phantom,
        needs_torch=lambda parameters: parameters.family is not Family.DISCS,
        precisions=_single_precision,
    ),
    "prepare": Verb(
        "check a far-field file, or simulate the slices of a volume",
        settings.PrepareInputs,
        settings.PrepareParameters,
        pipeline.prepare,
        precisions=_single_precision,
    ),
    "evaluate": Verb(
        "compare a reconstruction with the truth",
        settings.EvaluateInputs,
        NoParameters,
        pipeline.evaluate,
        needs_torch=lambda parameters: False,
    ),
    "export": Verb(
        "write a reconstruction as a volume of sound speed or contrast",
        settings.ExportInputs,
        settings.ExportParameters,
        pipeline.export,
        needs_torch=lambda parameters: False,
    ),
}
