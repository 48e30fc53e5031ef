"""The training configuration: one JSON file in three sections, with the key names of OpenSeizureDetector's nnTraining2.

Every key is read. A key that is unknown, or that states something which is done differently here, is refused in words;
nothing in a configuration is ever imported or run.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import Field, Range, check_ranges, fields_of, from_json, to_json
from deeprecon.seizure.networks.architecture import CODE_STRIDES, receptive_field

SAMPLE_RATE = 25
"""Hz; recordings of another rate are resampled."""


class Framework(Enum):
    """What trains the network."""

    PYTORCH = "pytorch"
    TENSORFLOW = "tensorflow"


class Metric(Enum):
    """What decides, on the validation users, which weights are kept."""

    VAL_LOSS = "val_loss"
    F1 = "f1"
    F_BETA = "f_beta"
    YOUDEN = "youden"
    MIN_FPR = "min_fpr"


MODEL_CLASSES: dict[str, Framework | None] = {
    "deepEpi": None,
    "user_tools.nnTraining2.deepEpiCnnModel.DeepEpiCnnModel": Framework.TENSORFLOW,
    "user_tools.nnTraining2.deepEpiCnnModel_torch.DeepEpiCnnModelPyTorch": Framework.PYTORCH,
    "deepEpiCnnModel.DeepEpiCnnModel": Framework.TENSORFLOW,
    "deepEpiCnnModel_torch.DeepEpiCnnModelPyTorch": Framework.PYTORCH,
}
"""Names under which the network is known, and the framework that a name implies. Nothing is imported by them."""

MODEL_TYPES = {
    "tensorflow": Framework.TENSORFLOW,
    "keras": Framework.TENSORFLOW,
    "pytorch": Framework.PYTORCH,
    "torch": Framework.PYTORCH,
}
"""Values of the old key modelType."""

ALWAYS: dict[str, tuple[Any, str]] = {
    "modelConfig.nLayers": (14, "the network has 14 layers"),
    "modelConfig.dims": (1, "the network sees the magnitude alone"),
    "modelConfig.useLrSchedule": (True, "the rate follows warmupSteps, mainSteps and cooldownSteps"),
    "modelConfig.useAdamW": (True, "the optimizer is AdamW"),
    "modelConfig.adamwBeta1": (0.9, "AdamW's first moment decays by 0.9"),
    "modelConfig.adamwBeta2": (0.999, "AdamW's second moment decays by 0.999"),
    "dataProcessing.simpleMagnitudeOnly": (True, "the network sees the magnitude alone"),
    "dataProcessing.validateDatapoints": (True, "gaps are masked and overlaps dropped"),
    "dataProcessing.splitTestTrainByEvent": (False, "users are split, since one person's events resemble each other"),
}
"""Keys that may state only what is so anyway, and why."""

ELSEWHERE = {
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
    "dataProcessing.accSdThreshold": "nothing ever read it",
    "dataProcessing.seizureTimeRange": "nothing ever read it; the events' seizureTimes are used",
    "dataProcessing.features": "the network sees the signal itself",
    "dataProcessing.highPassFreq": "the signal is not filtered",
    "dataProcessing.highPassOrder": "the signal is not filtered",
}
"""Keys of nnTraining2 that nothing reads here, and what stands in their place."""


@dataclass(frozen=True)
class ModelConfig:
    """Section modelConfig: the network and its training."""

    framework: Annotated[Framework, "what trains the network; a file without it and without modelType means tensorflow"]
    modelClass: Annotated[str, "name of the network: deepEpi, or its class in nnTraining2"] = "deepEpi"
    strides: Annotated[tuple[int, ...], Range(1, 4), "of the 14 convolutions"] = CODE_STRIDES
    sampleFreq: Annotated[int, Range(SAMPLE_RATE, SAMPLE_RATE, "Hz"), "of the signal; others are resampled"] = 25
    bufferSeconds: Annotated[float, Range(5, 120, "s"), "length of a window"] = 30.0
    convDropout: Annotated[float, Range(0, 0.9), "after each convolution"] = 0.0
    denseDropout: Annotated[float, Range(0, 0.9), "after the first dense layer"] = 0.025
    batchSize: Annotated[int, Range(2, 65_536), "windows in a batch"] = 64
    useBalancedBatches: Annotated[bool, "half of each batch are seizures"] = True
    lrStart: Annotated[float, Range(0, 1), "learning rate at first"] = 1e-5
    lrPeak: Annotated[float, Range(1e-8, 1), "learning rate after the warm-up"] = 1e-3
    lrMainEnd: Annotated[float, Range(0, 1), "learning rate after the main phase; it then falls to 0"] = 3e-5
    warmupSteps: Annotated[int, Range(0, 10_000_000), "linear from lrStart to lrPeak"] = 100
    mainSteps: Annotated[int, Range(1, 10_000_000), "cosine from lrPeak to lrMainEnd"] = 1800
    cooldownSteps: Annotated[int, Range(0, 10_000_000), "linear from lrMainEnd to 0"] = 100
    totalTrainingSteps: Annotated[int | None, Range(1, 30_000_000), "must be the sum of the three"] = None
    evalEverySteps: Annotated[int, Range(1, 10_000_000), "between two validations"] = 200
    earlyStoppingPatience: Annotated[int, Range(0, 1_000_000), "validations without progress; 0 never stops"] = 0
    weightDecay: Annotated[float, Range(0, 1), "of AdamW"] = 0.0
    modelSelectionMetric: Annotated[Metric, "which weights are kept"] = Metric.VAL_LOSS
    fBeta: Annotated[float, Range(0.1, 10), "weight of the sensitivity in f_beta"] = 2.0
    saveBestMinSensitivity: Annotated[float, Range(0, 1), "that min_fpr asks for"] = 0.9

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.warmupSteps + self.mainSteps + self.cooldownSteps

    @property
    def window(self) -> int:
        """Samples in a window."""
        return round(self.bufferSeconds * SAMPLE_RATE)

    def rate(self, step: int) -> float:
        """Learning rate at a step: three phases, and 0 after them (Spahr 2025, doi 10.1111/epi.18406)."""
        main, cooldown = step - self.warmupSteps, step - self.warmupSteps - self.mainSteps
        if main < 0:
            return self.lrStart + (self.lrPeak - self.lrStart) * step / self.warmupSteps
        if cooldown < 0:
            share = 0.5 * (1 + math.cos(math.pi * main / self.mainSteps))
            return self.lrMainEnd + (self.lrPeak - self.lrMainEnd) * share
        return self.lrMainEnd * max(0.0, 1 - cooldown / self.cooldownSteps) if self.cooldownSteps else 0.0

    def with_steps(self, steps: int) -> ModelConfig:
        """The same schedule in about so many steps, with as many validations."""
        validations = max(1, min(self.steps // self.evalEverySteps, steps))
        every = max(1, round(steps / validations))
        total = every * validations
        warmup = min(round(total * self.warmupSteps / self.steps), total - 1)
        cooldown = min(round(total * self.cooldownSteps / self.steps), total - 1 - warmup)
        return replace(
            self,
            warmupSteps=warmup,
            mainSteps=total - warmup - cooldown,
            cooldownSteps=cooldown,
            totalTrainingSteps=None,
            evalEverySteps=every,
        )


@dataclass(frozen=True)
class DataConfig:
    """Section dataProcessing: split, windows and augmentation."""

    testProp: Annotated[float, Range(0.0, 0.9), "share of the users that training never sees; 0 for none"] = 0.25
    validationProp: Annotated[float, Range(0.05, 0.5), "share of the other users that selects the weights"] = 0.25
    borderSeconds: Annotated[float, Range(0, 600, "s"), "around a seizure, where no window is taken"] = 30.0
    wholeEvents: Annotated[bool, "a seizure event without seizureTimes is a seizure from end to end"] = False
    noiseAugmentation: Annotated[bool, "add noise to windows of both classes in training"] = True
    noiseAugmentationValue: Annotated[float, Range(0, 1000, "mg"), "its standard deviation on each axis"] = 20.0
    phaseAugmentation: Annotated[bool, "windows begin at more places in training than in detection"] = True
    phaseAugmentationStep: Annotated[int, Range(1, 750, "samples"), "between their beginnings"] = 25
    userAugmentation: Annotated[bool, "draw users equally often, not windows"] = True


@dataclass(frozen=True)
class EventFilters:
    """Section eventFilters: which events are used; an empty list means all."""

    includeUserIds: Annotated[tuple[str, ...], "users to use"] = ()
    excludeUserIds: Annotated[tuple[str, ...], "users to leave out"] = ()
    includeTypes: Annotated[tuple[str, ...], "types to use"] = ()
    excludeTypes: Annotated[tuple[str, ...], "types to leave out"] = ()
    includeSubTypes: Annotated[tuple[str, ...], "subtypes to use"] = ()
    excludeSubTypes: Annotated[tuple[str, ...], "subtypes to leave out"] = ()
    includeDataSources: Annotated[tuple[str, ...], "watches to use"] = ()
    excludeDataSources: Annotated[tuple[str, ...], "watches to leave out"] = ()
    require3dData: Annotated[bool, "use only events with three axes"] = False

    def allows(self, user: str, kind: str, subtype: str, source: str, has_axes: bool) -> bool:
        """Whether an event is used."""
        pairs = (
            (user, self.includeUserIds, self.excludeUserIds),
            (kind, self.includeTypes, self.excludeTypes),
            (subtype, self.includeSubTypes, self.excludeSubTypes),
            (source, self.includeDataSources, self.excludeDataSources),
        )
        return (has_axes or not self.require3dData) and all(
            (not include or value in include) and value not in exclude for value, include, exclude in pairs
        )


@dataclass(frozen=True)
class Config:
    """A whole configuration."""

    modelConfig: ModelConfig = field(default_factory=lambda: ModelConfig(Framework.PYTORCH))
    dataProcessing: DataConfig = field(default_factory=DataConfig)
    eventFilters: EventFilters = field(default_factory=EventFilters)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, all keys written out."""
        return {name: to_json(getattr(self, name)) for name in SECTIONS}


SECTIONS: dict[str, type] = {
    "modelConfig": ModelConfig,
    "dataProcessing": DataConfig,
    "eventFilters": EventFilters,
}


def read_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        InputError: no JSON, keys or values that are refused (all are named at once), or settings that contradict.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"The configuration {path} is no JSON: {error}.") from error
    if not isinstance(values, dict) or not all(isinstance(values.get(name, {}), dict) for name in SECTIONS):
        raise InputError(f"The configuration {path} must be a JSON object with {', '.join(SECTIONS)} as objects.")
    sections = {name: dict(values.get(name, {})) for name in SECTIONS}
    reasons = [_refusal(name) for name in values if name not in SECTIONS]
    for name, cls in SECTIONS.items():
        known = {entry.name for entry in fields_of(cls)} | ({"modelType"} if cls is ModelConfig else set())
        for key in [key for key in sections[name] if key not in known]:
            reasons += _check_fixed(f"{name}.{key}", sections[name].pop(key))
    if reasons:
        raise InputError(f"The configuration {path} cannot be used: {'; '.join(reasons)}.", "Remove or correct them.")
    for entry in ("includeUserIds", "excludeUserIds"):  # numbers in old files
        if isinstance(users := sections["eventFilters"].get(entry), list):
            sections["eventFilters"][entry] = [str(user) for user in users]
    try:
        sections["modelConfig"] = _settle_names(sections["modelConfig"])
        config = Config(**{name: from_json(cls, sections[name]) for name, cls in SECTIONS.items()})
    except InputError as error:
        raise InputError(f"The configuration {path}: {error.message}", error.hint) from error
    reasons = check(config)
    if reasons:
        raise InputError(f"The configuration {path} cannot be used: {'; '.join(reasons)}.")
    return config


def check(config: Config) -> list[str]:
    """Reasons why a configuration cannot be used, in words; empty when it can."""
    model = config.modelConfig
    reasons = [reason for name in SECTIONS for reason in check_ranges(getattr(config, name))]
    if len(model.strides) != len(CODE_STRIDES):
        reasons.append(f"strides has {len(model.strides)} entries for {len(CODE_STRIDES)} layers")
    elif model.window < (needed := receptive_field(model.strides)):
        reasons.append(f"bufferSeconds is {model.bufferSeconds:g}, but the network needs {needed / SAMPLE_RATE:g} s")
    if model.totalTrainingSteps not in (None, model.steps):
        reasons.append(f"totalTrainingSteps is {model.totalTrainingSteps}, but the phases have {model.steps} steps")
    if model.steps % model.evalEverySteps:
        reasons.append(f"evalEverySteps {model.evalEverySteps} does not divide the {model.steps} steps")
    if not model.lrStart <= model.lrPeak >= model.lrMainEnd:
        reasons.append("lrPeak must be the largest learning rate")
    return reasons


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file."""
    properties: dict[str, Any] = {}
    for name, cls in SECTIONS.items():
        entries = {entry.name: _schema_of(entry) for entry in fields_of(cls)}
        if cls is ModelConfig:
            entries["modelClass"] |= {"enum": sorted(MODEL_CLASSES)}
            entries["strides"] |= {"minItems": len(CODE_STRIDES), "maxItems": len(CODE_STRIDES)}
            entries["modelType"] = {
                "description": "old name of framework",
                "enum": sorted(MODEL_TYPES),
                "deprecated": True,
            }
        for key, (value, reason) in ALWAYS.items():
            section, _, entry = key.partition(".")
            if section == name:
                entries[entry] = {"description": reason, "const": value, "deprecated": True}
        properties[name] = {"type": "object", "additionalProperties": False, "properties": entries}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of deeprecon seizure",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _schema_of(entry: Field) -> dict[str, Any]:
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
    one: dict[str, Any]
    if issubclass(entry.type, Enum):
        one = {"enum": [choice.value for choice in entry.type]}
    else:
        one = {"type": [kinds[entry.type], "null"] if entry.optional else kinds[entry.type]}
    if entry.range is not None:
        one |= {"minimum": entry.range.minimum, "maximum": entry.range.maximum}
    if entry.many:
        one = {"type": "array", "items": one}
    unit = f" ({entry.range.unit})" if entry.range is not None and entry.range.unit else ""
    made = {"description": f"{entry.help}{unit}", **one}
    if not entry.required:
        default = entry.default.value if isinstance(entry.default, Enum) else entry.default
        made["default"] = list(default) if entry.many else default
    return made


def _settle_names(values: dict[str, Any]) -> dict[str, Any]:
    """The section with `framework` and `modelClass` under today's names: an old file without a framework means
    TensorFlow, unless its modelType or its modelClass says otherwise."""
    name = values.get("modelClass", "deepEpi")
    if name not in MODEL_CLASSES:
        raise InputError(
            f"modelConfig.modelClass {name!r} is not known here: of OpenSeizureDetector's networks only DeepEpi is.",
            f"Known names are: {', '.join(MODEL_CLASSES)}.",
        )
    kind = values.get("modelType")
    if kind is not None and str(kind).lower() not in MODEL_TYPES:
        raise InputError(
            f"modelConfig.modelType {kind!r} is another family of models than DeepEpi, which alone is offered here.",
            f"Known are: {', '.join(MODEL_TYPES)}.",
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


def _check_fixed(key: str, value: Any) -> list[str]:
    if key in ALWAYS:
        expected, reason = ALWAYS[key]
        return [] if value == expected else [f"{key} is {value!r}, but {reason}"]
    return [_refusal(key)]


def _refusal(key: str) -> str:
    return f"{key} is not read ({ELSEWHERE[key]})" if key in ELSEWHERE else f"{key} is unknown"
