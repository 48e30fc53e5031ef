"""The configuration: what is read, what is refused, and its schema."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.config import ALWAYS, ELSEWHERE, SECTIONS, Config, Framework, ModelConfig, read_config, schema

SCHEMA = Path(__file__).resolve().parents[3] / "Logic" / "Resources" / "seizure" / "config.schema.json"


def test_a_file_that_is_written_out_reads_as_the_same(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(Config().to_json()))
    assert read_config(path) == Config()


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
def test_old_files_mean_the_framework_that_they_always_meant(model, framework, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"modelConfig": model}))
    config = read_config(path)
    assert config.modelConfig.framework is framework
    assert config.modelConfig.modelClass == "deepEpi"


def test_the_example_of_the_origin_is_read_without_importing_anything(configuration):
    before = set(sys.modules)
    section = {"modelClass": "user_tools.nnTraining2.deepEpiCnnModel_torch.DeepEpiCnnModelPyTorch", "batchSize": 64}
    read_config(configuration(modelConfig=section))
    assert not {name for name in set(sys.modules) - before if "user_tools" in name}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"modelConfig": {"modelClass": "os.system"}}, "'os.system' is not known here"),
        ({"modelConfig": {"modelClass": "user_tools.nnTraining2.specCnnModel.SpecCnnModel"}}, "only DeepEpi is"),
        ({"modelConfig": {"modelType": "sklearn"}}, "another family of models"),
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
def test_what_cannot_be_used_is_refused_in_words(sections, words, configuration, tmp_path):
    path = configuration(modelConfig=sections.pop("modelConfig", {}))
    values = {**json.loads(path.read_text()), **sections}
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=words):
        read_config(path)


def test_all_refused_keys_are_named_at_once(configuration):
    with pytest.raises(InputError) as caught:
        read_config(configuration(modelConfig={"epochs": 1, "lrFactor": 0.5, "typo": 1}))
    assert all(name in str(caught.value) for name in ("epochs", "lrFactor", "typo"))


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is no JSON"), ("[]", "must be a JSON object"), ('{"modelConfig": 3}', "as objects")]
)
def test_what_is_no_configuration_is_refused(text, words, configuration):
    with pytest.raises(InputError, match=words):
        read_config(configuration(text))


def test_keys_that_state_what_is_so_anyway_are_accepted(configuration):
    stated: dict[str, dict[str, object]] = {}
    for key, (value, _) in ALWAYS.items():
        section, _, name = key.partition(".")
        stated.setdefault(section, {})[name] = value
    assert read_config(configuration(**stated)) == read_config(configuration())
    assert not set(ALWAYS) & set(ELSEWHERE)


def test_the_schema_knows_every_key_and_is_the_published_one():
    made = schema()
    for name, cls in SECTIONS.items():
        assert set(cls.__dataclass_fields__) <= set(made["properties"][name]["properties"])
        assert made["properties"][name]["additionalProperties"] is False
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == made


def test_the_rate_is_that_of_the_paper():
    model = ModelConfig(Framework.PYTORCH, warmupSteps=2500, mainSteps=45_000, cooldownSteps=2500, evalEverySteps=5000)
    assert [model.rate(step) for step in (0, 1250, 2500, 25_000, 47_500, 48_750)] == pytest.approx(
        [1e-5, 505e-6, 1e-3, 515e-6, 3e-5, 15e-6]
    )
    assert model.rate(50_000) == model.rate(105_000) == 0.0


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 333, 100_000])
def test_another_number_of_steps_keeps_the_shape_of_the_schedule(steps):
    model = ModelConfig(Framework.PYTORCH).with_steps(steps)
    assert model.steps == pytest.approx(steps, rel=0.1, abs=1)
    assert model.steps % model.evalEverySteps == 0
    assert math.isclose(model.warmupSteps, 0.05 * model.steps, abs_tol=0.51)
    assert all(model.rate(step) >= 0 for step in range(0, steps, max(1, steps // 50)))
