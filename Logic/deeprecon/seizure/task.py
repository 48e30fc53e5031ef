"""The entry point of the method: the table of verbs that `python -m deeprecon seizure VERB` runs."""

from __future__ import annotations

from typing import Any

from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.verbs import Verb
from deeprecon.seizure import parameters as settings
from deeprecon.seizure import pipeline


def _without_torch(parameters: Any) -> bool:
    return False


def _single_precision(parameters: Any) -> tuple[str, ...]:
    return ("fp32",)


VERBS = {
    "phantom": Verb(
        "simulate users with seizures and everyday activities",
        settings.PhantomInputs,
        settings.PhantomParameters,
        pipeline.simulate_users,
        needs_torch=_without_torch,
    ),
    "prepare": Verb(
        "read recordings and events, and write them as one data set",
        settings.PrepareInputs,
        settings.PrepareParameters,
        pipeline.prepare,
        needs_torch=_without_torch,
    ),
    "configure": Verb(
        "check a training configuration, and write it with all keys and its JSON Schema",
        settings.ConfigureInputs,
        NoParameters,
        pipeline.configure,
        needs_torch=_without_torch,
    ),
    "train": Verb(
        "train an ensemble, and write it as a model bundle",
        settings.TrainInputs,
        settings.TrainParameters,
        pipeline.train,
    ),
    "cross-validate": Verb(
        "nested cross-validation over users: train and evaluate",
        settings.TrainInputs,
        settings.CrossValidateParameters,
        pipeline.cross_validate,
        in_parts=lambda parameters: True,
    ),
    "detect": Verb(
        "seizure probability over a recording, alarms and a plot",
        settings.DetectInputs,
        settings.DetectParameters,
        pipeline.detect,
        precisions=_single_precision,
    ),
    "rescore": Verb(
        "an earlier detection at another quantile or threshold, without the networks",
        settings.RescoreInputs,
        settings.ScoreParameters,
        pipeline.rescore,
        needs_torch=_without_torch,
    ),
    "evaluate": Verb(
        "score an ensemble and OpenSeizureDetector on known seizures",
        settings.EvaluateInputs,
        settings.EvaluateParameters,
        pipeline.evaluate,
        precisions=_single_precision,
    ),
    "export": Verb(
        "networks as ONNX or Keras files",
        settings.ExportInputs,
        settings.ExportParameters,
        pipeline.export,
        precisions=_single_precision,
    ),
}
