"""Read and check a configuration file (JSON), of this software or of OpenSeizureDetector's nnTraining2.

Every key is checked. A key that is unknown, or that asks for something done differently here, is refused with the
reason; nothing named in a configuration is ever imported or run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError, names_damage
from deeprecon.jobs.parameters import check_ranges, fields_of, from_json
from deeprecon.seizure.configuration import SAMPLE_RATE, SECTIONS, Config, Framework, ModelConfig
from deeprecon.seizure.networks.architecture import PUBLISHED_STRIDES, receptive_field
from deeprecon.seizure.read.text import read_text

MODEL_CLASSES: dict[str, Framework | None] = {
    "deepEpi": None,
    "user_tools.nnTraining2.deepEpiCnnModel.DeepEpiCnnModel": Framework.TENSORFLOW,
    "user_tools.nnTraining2.deepEpiCnnModel_torch.DeepEpiCnnModelPyTorch": Framework.PYTORCH,
    "deepEpiCnnModel.DeepEpiCnnModel": Framework.TENSORFLOW,
    "deepEpiCnnModel_torch.DeepEpiCnnModelPyTorch": Framework.PYTORCH,
}
"""Accepted names of the network, and the framework that a name implies. Nothing is imported by these names."""

MODEL_TYPES = {
    "tensorflow": Framework.TENSORFLOW,
    "keras": Framework.TENSORFLOW,
    "pytorch": Framework.PYTORCH,
    "torch": Framework.PYTORCH,
}
"""Values of the old key modelType."""

FIXED_KEYS: dict[str, tuple[Any, str]] = {
    "modelConfig.nLayers": (14, "the network has 14 layers"),
    "modelConfig.dims": (1, "the network uses only the magnitude"),
    "modelConfig.useLrSchedule": (True, "the rate follows warmupSteps, mainSteps and cooldownSteps"),
    "modelConfig.useAdamW": (True, "the optimizer is AdamW"),
    "modelConfig.adamwBeta1": (0.9, "AdamW's first moment decays by 0.9"),
    "modelConfig.adamwBeta2": (0.999, "AdamW's second moment decays by 0.999"),
    "dataProcessing.simpleMagnitudeOnly": (True, "the network uses only the magnitude"),
    "dataProcessing.validateDatapoints": (True, "gaps are masked and overlaps dropped"),
    "dataProcessing.splitTestTrainByEvent": (False, "users are split, since one person's events resemble each other"),
}
"""Keys with a single allowed value, and the reason."""

UNUSED_KEYS = {
    "debug": "give --verbose",
    "randomSeed": "give --seed",
    "osdbConfig": "give the event files to seizure prepare",
    "dataFileNames": "files are named on the command line",
    "modelConfig.modelFname": "the bundle lies in --output",
    "modelConfig.epochs": "training is counted in steps: warmupSteps, mainSteps, cooldownSteps",
    "modelConfig.lrFactor": "the rate follows lrStart, lrPeak and lrMainEnd",
    "modelConfig.lrPatience": "the rate follows lrStart, lrPeak and lrMainEnd",
    "modelConfig.lrMin": "the rate follows lrStart, lrPeak and lrMainEnd",
    "modelConfig.trainingVerbosity": "give --verbose",
    "modelConfig.classWeights": "useBalancedBatches balances the classes",
    "modelConfig.saveBestOnBothImprovement": "modelSelectionMetric decides",
    "modelConfig.saveBestOnFarReduction": "modelSelectionMetric decides",
    "modelConfig.saveBestOnSensitivityTolerance": "modelSelectionMetric decides",
    "modelConfig.saveBestMaxFpr": "modelSelectionMetric decides",
    "dataProcessing.noiseAugmentationFactor": "each window gets fresh noise each time it is drawn",
    "dataProcessing.oversample": "useBalancedBatches balances the classes",
    "dataProcessing.undersample": "useBalancedBatches balances the classes",
    "dataProcessing.accSdThreshold": "nnTraining2 does not read it either",
    "dataProcessing.seizureTimeRange": "nnTraining2 does not read it either; the events' seizureTimes are used",
    "dataProcessing.features": "the network uses the unprocessed signal",
    "dataProcessing.highPassFreq": "the signal is not filtered",
    "dataProcessing.highPassOrder": "the signal is not filtered",
}
"""Keys of nnTraining2 that are not used here, and what replaces them."""


@names_damage
def read_configuration(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        InputError: not JSON, refused keys or values (all are listed), or contradictory settings.
    """
    try:
        values = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"The configuration {path} is not JSON: {error}.") from error
    if not isinstance(values, dict) or not all(isinstance(values.get(name, {}), dict) for name in SECTIONS):
        raise InputError(f"The configuration {path} must be a JSON object with {', '.join(SECTIONS)} as objects.")
    sections = {name: dict(values.get(name, {})) for name in SECTIONS}
    reasons = [_refusal(name) for name in values if name not in SECTIONS]
    for name, cls in SECTIONS.items():
        known = {entry.name for entry in fields_of(cls)} | ({"modelType"} if cls is ModelConfig else set())
        for key in [key for key in sections[name] if key not in known]:
            reasons += _check_other_key(f"{name}.{key}", sections[name].pop(key))
    if reasons:
        raise InputError(f"The configuration {path} cannot be used: {'; '.join(reasons)}.", "Remove or correct them.")
    for entry in ("includeUserIds", "excludeUserIds"):  # numbers in old files
        if isinstance(users := sections["eventFilters"].get(entry), list):
            sections["eventFilters"][entry] = [str(user) for user in users]
    try:
        sections["modelConfig"] = _resolve_framework(sections["modelConfig"])
        config = Config(**{name: from_json(cls, sections[name]) for name, cls in SECTIONS.items()})
    except InputError as error:
        raise InputError(f"The configuration {path}: {error.message}", error.hint) from error
    reasons = check_configuration(config)
    if reasons:
        raise InputError(f"The configuration {path} cannot be used: {'; '.join(reasons)}.")
    return config


def check_configuration(config: Config) -> list[str]:
    """Reasons why a configuration cannot be used; empty when it can."""
    model = config.modelConfig
    reasons = [reason for name in SECTIONS for reason in check_ranges(getattr(config, name))]
    if len(model.strides) != len(PUBLISHED_STRIDES):
        reasons.append(f"strides has {len(model.strides)} entries for {len(PUBLISHED_STRIDES)} layers")
    elif model.window < (needed := receptive_field(model.strides)):
        reasons.append(f"bufferSeconds is {model.bufferSeconds:g}, but the network needs {needed / SAMPLE_RATE:g} s")
    if model.totalTrainingSteps not in (None, model.steps):
        reasons.append(f"totalTrainingSteps is {model.totalTrainingSteps}, but the phases have {model.steps} steps")
    if model.steps % model.evalEverySteps:
        reasons.append(f"evalEverySteps {model.evalEverySteps} does not divide the {model.steps} steps")
    if not model.lrStart <= model.lrPeak >= model.lrMainEnd:
        reasons.append("lrPeak must be the largest learning rate")
    return reasons


def _resolve_framework(values: dict[str, Any]) -> dict[str, Any]:
    """The section modelConfig with `framework` and `modelClass` under their current names.

    An old file without a framework means TensorFlow, unless its modelType or modelClass implies another.
    """
    name = values.get("modelClass", "deepEpi")
    if name not in MODEL_CLASSES:
        raise InputError(
            f"modelConfig.modelClass {name!r} is not supported: of OpenSeizureDetector's networks only DeepEpi is.",
            f"Supported names: {', '.join(MODEL_CLASSES)}.",
        )
    kind = values.get("modelType")
    if kind is not None and str(kind).lower() not in MODEL_TYPES:
        raise InputError(
            f"modelConfig.modelType {kind!r} is not supported: the only network here is DeepEpi.",
            f"Supported: {', '.join(MODEL_TYPES)}.",
        )
    implied = MODEL_CLASSES[name]
    stated = values.get("framework") or (MODEL_TYPES[str(kind).lower()].value if kind is not None else None)
    if implied is not None and stated not in (None, implied.value):
        raise InputError(f"modelConfig.framework is {stated}, but modelClass {name} is of {implied.value}.")
    framework = stated or (implied or Framework.TENSORFLOW).value
    rest = {key: value for key, value in values.items() if key != "modelType"}
    if rest.get("modelSelectionMetric") == "dual_improvement":
        raise InputError(
            "modelConfig.modelSelectionMetric dual_improvement depends on the order of the validations.",
            "Give min_fpr with saveBestMinSensitivity, or youden.",
        )
    return {**rest, "framework": framework, "modelClass": "deepEpi"}


def _check_other_key(key: str, value: Any) -> list[str]:
    if key in FIXED_KEYS:
        expected, reason = FIXED_KEYS[key]
        return [] if value == expected else [f"{key} is {value!r}, but {reason}"]
    return [_refusal(key)]


def _refusal(key: str) -> str:
    return f"{key} is not read ({UNUSED_KEYS[key]})" if key in UNUSED_KEYS else f"{key} is unknown"
