"""The configuration: what is read, what is refused, and its schema."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SECTIONS, Config, Framework, ModelConfig
from deeprecon.seizure.read.configuration import FIXED_KEYS, UNUSED_KEYS, read_configuration
from deeprecon.seizure.write.configuration_schema import configuration_schema

SCHEMA = Path(__file__).resolve().parents[3] / "Logic" / "deeprecon" / "Resources" / "seizure" / "config.schema.json"


def test_written_configuration_is_read_unchanged(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(Config().to_json()))
    assert read_configuration(path) == Config()


@pytest.mark.parametrize(
    ("model", "framework"),
    [
        ({}, Framework.TENSORFLOW),
        ({"framework": "pytorch"}, Framework.PYTORCH),
        ({"modelType": "pytorch"}, Framework.PYTORCH),
        ({"modelType": "Keras"}, Framework.TENSORFLOW),
        ({"framework": "pytorch", "modelType": "tensorflow"}, Framework.PYTORCH),
        ({"modelClass": "user_tools.nnTraining2.deepEpiCnnModel.DeepEpiCnnModel"}, Framework.TENSORFLOW),
        ({"modelClass": "user_tools.nnTraining2.deepEpiCnnModel_torch.DeepEpiCnnModelPyTorch"}, Framework.PYTORCH),
    ],
)
def test_framework_of_old_files(model, framework, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"modelConfig": model}))
    config = read_configuration(path)
    assert config.modelConfig.framework is framework
    assert config.modelConfig.modelClass == "deepEpi"


def test_class_name_of_nntraining2_is_not_imported(configuration):
    before = set(sys.modules)
    section = {"modelClass": "user_tools.nnTraining2.deepEpiCnnModel_torch.DeepEpiCnnModelPyTorch", "batchSize": 64}
    read_configuration(configuration(modelConfig=section))
    assert not {name for name in set(sys.modules) - before if "user_tools" in name}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"modelConfig": {"modelClass": "os.system"}}, "'os.system' is not supported"),
        ({"modelConfig": {"modelClass": "user_tools.nnTraining2.specCnnModel.SpecCnnModel"}}, "only DeepEpi is"),
        ({"modelConfig": {"modelType": "sklearn"}}, "the only network here is DeepEpi"),
        (
            {"modelConfig": {"modelClass": "deepEpiCnnModel.DeepEpiCnnModel"}},
            "framework is pytorch, but modelClass deepEpiCnnModel.DeepEpiCnnModel is of tensorflow",
        ),
        ({"modelConfig": {"epochs": 100}}, r"modelConfig.epochs is not read \(training is counted in steps"),
        ({"modelConfig": {"learningRate": 1}}, "modelConfig.learningRate is unknown"),
        ({"debug": True}, r"debug is not read \(give --verbose\)"),
        ({"dataProcessing": {"accSdThreshold": 5}}, "accSdThreshold is not read"),
        ({"modelConfig": {"nLayers": 10}}, "nLayers is 10, but the network has 14 layers"),
        ({"dataProcessing": {"splitTestTrainByEvent": True}}, "users are split"),
        ({"dataProcessing": {"validationProp": 0}}, "validationProp is 0, expected 0.05"),
        ({"modelConfig": {"strides": [1, 2]}}, "strides has 2 entries for 14 layers"),
        ({"modelConfig": {"strides": [2] * 14}}, "the network needs"),
        ({"modelConfig": {"totalTrainingSteps": 7}}, "totalTrainingSteps is 7, but the phases have 6 steps"),
        ({"modelConfig": {"evalEverySteps": 4}}, "evalEverySteps 4 does not divide the 6 steps"),
        ({"modelConfig": {"lrStart": 0.5}}, "lrPeak must be the largest"),
        ({"modelConfig": {"modelSelectionMetric": "dual_improvement"}}, "depends on the order"),
        ({"modelConfig": {"batchSize": "64"}}, "batchSize: expected int"),
        ({"modelConfig": {"sampleFreq": 32}}, "sampleFreq is 32, expected 25 to 25 Hz"),
    ],
)
def test_unusable_values_are_refused_with_the_reason(sections, words, configuration, tmp_path):
    path = configuration(modelConfig=sections.pop("modelConfig", {}))
    values = {**json.loads(path.read_text()), **sections}
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=words):
        read_configuration(path)


def test_all_refused_keys_are_listed(configuration):
    with pytest.raises(InputError) as caught:
        read_configuration(configuration(modelConfig={"epochs": 1, "lrFactor": 0.5, "typo": 1}))
    assert all(name in str(caught.value) for name in ("epochs", "lrFactor", "typo"))


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is not JSON"), ("[]", "must be a JSON object"), ('{"modelConfig": 3}', "as objects")]
)
def test_other_content_is_refused(text, words, configuration):
    with pytest.raises(InputError, match=words):
        read_configuration(configuration(text))


def test_keys_with_their_only_value_are_accepted(configuration):
    stated: dict[str, dict[str, object]] = {}
    for key, (value, _) in FIXED_KEYS.items():
        section, _, name = key.partition(".")
        stated.setdefault(section, {})[name] = value
    assert read_configuration(configuration(**stated)) == read_configuration(configuration())
    assert not set(FIXED_KEYS) & set(UNUSED_KEYS)


def test_schema_has_every_key_and_equals_the_published_file():
    made = configuration_schema()
    for name, cls in SECTIONS.items():
        assert set(cls.__dataclass_fields__) <= set(made["properties"][name]["properties"])
        assert made["properties"][name]["additionalProperties"] is False
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == made


def test_learning_rate_equals_the_paper():
    model = ModelConfig(Framework.PYTORCH, warmupSteps=2500, mainSteps=45_000, cooldownSteps=2500, evalEverySteps=5000)
    assert [model.learning_rate(step) for step in (0, 1250, 2500, 25_000, 47_500, 48_750)] == pytest.approx(
        [1e-5, 505e-6, 1e-3, 515e-6, 3e-5, 15e-6]
    )
    assert model.learning_rate(50_000) == model.learning_rate(105_000) == 0.0


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 333, 100_000])
def test_scaled_schedule_keeps_its_proportions(steps):
    model = ModelConfig(Framework.PYTORCH).with_steps(steps)
    assert model.steps == pytest.approx(steps, rel=0.1, abs=1)
    assert model.steps % model.evalEverySteps == 0
    assert math.isclose(model.warmupSteps, 0.05 * model.steps, abs_tol=0.51)
    assert all(model.learning_rate(step) >= 0 for step in range(0, steps, max(1, steps // 50)))
