"""The mlp from files to files: reconstruct, prepare, train, apply and import-checkpoint."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deeprecon import cli
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import MeshFile, place, read_mesh, write_mesh
from deeprecon.jobs.job import Job
from deeprecon.scar.fit.mlp_fit import MlpSettings
from deeprecon.scar.parameters import Method, MlpSize, ReconstructParameters, TrainParameters
from deeprecon.scar.read.mesh import find_in_box
from deeprecon.scar.read.training_data import read_training_data
from deeprecon.scar.task import resolve
from deeprecon.scar.training import mlp_verbs
from deeprecon.scar.training.cardioscar import read_checkpoint
from deeprecon.scar.write import outputs
from deeprecon.training.bundle import load_weights, read_bundle
from deeprecon.worker import BAD_INPUT, run_job


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, so that a few steps do something, and no pictures."""
    monkeypatch.setattr("deeprecon.scar.fit.mlp_fit.MlpSettings", lambda: MlpSettings(batch=1000, learning_rate=3e-3))

    def write_report(path: Path, *rest: Any) -> list[Path]:
        path.write_text("no pictures", encoding="utf-8")
        return []

    monkeypatch.setattr(outputs, "write_report", write_report)


def images(files: dict[str, Path]) -> dict[str, Any]:
    return {"myocardium": [files["segmentation"]], "scar": [files["segmentation"]], "mesh": files["mesh"]}


def events(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / ".job" / "events.jsonl").read_text(encoding="utf-8").splitlines()]


def message(output: Path) -> str:
    (error,) = [event for event in events(output) if event["type"] == "error"]
    return f"{error['message']} {error['hint']}"


# ---- reconstruct and prepare


def test_reconstruct_with_the_mlp_finds_the_scar(files, done, result_of):
    output = done("reconstruct", inputs=images(files), method="mlp", steps=150, samples=5, alignment="off")
    figures = result_of(output)["metrics"]
    assert figures["network_parameters"] == 50_177
    assert figures["epochs"] > figures["best_epoch"] >= 0
    assert figures["steps"] >= 150
    score = result_of(done("evaluate", "score", inputs={"mesh": output / "mesh.vtu", "truth": files["truth"]}))
    assert score["metrics"]["dice"] > 0.75


def test_a_budget_becomes_steps_before_the_run(files, done):
    output = done("reconstruct", inputs=images(files), method="mlp", budget=1.0, samples=2)
    assert Job.load(output / ".job").parameters["steps"] > 0


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, 2000),
        ({"method": Method.MLP}, 800),
        ({"method": Method.MLP, "network": MlpSize.LARGE}, 160),
        ({"steps": 7}, 7),
        ({"method": Method.INTERPOLATION}, 0),
    ],
)
def test_without_a_budget_the_number_of_steps_is_fixed(choice, expected, monkeypatch):
    monkeypatch.setattr("deeprecon.training.estimate.seconds_per_step", lambda *_, **__: pytest.fail("timed"))
    assert resolve(ReconstructParameters(**choice), "cpu", 1, "fp32").steps == expected
    if choice.get("method") is Method.MLP:
        own = TrainParameters(network=choice.get("network", MlpSize.SMALL))
        assert mlp_verbs.resolve(own, "cpu", 1, "fp32").steps == expected


@pytest.mark.parametrize(
    ("method", "precision", "expected"),
    [("field", "auto", "fp32"), ("field", "bf16", None), ("mlp", "bf16", "bf16"), ("mlp", "fp16", "fp16")],
)
def test_the_field_computes_in_fp32_only_and_the_mlp_in_all(method, precision, expected, files, tmp_path):
    folder = tmp_path / "out" / ".job"
    inputs = {
        name: [str(path) for path in value] if isinstance(value, list) else str(value)
        for name, value in images(files).items()
    }
    job = Job("scar", "reconstruct", inputs, {"method": method, "steps": 2, "samples": 2}, "..", "auto", 1, precision)
    job.save(folder)
    code = run_job(folder)
    if expected is None:
        assert code == BAD_INPUT
        assert "cannot compute in bf16" in message(tmp_path / "out")
    else:
        assert code == 0
        assert Job.load(folder).precision == expected


def test_prepare_writes_the_nodes_in_groups(files, patient, done, result_of):
    output = done("prepare", inputs=images(files))
    found = result_of(output)
    assert found["outputs"]["training_data"]["path"] == "training_data.npz"
    groups = read_training_data(output / "training_data.npz")
    sides = groups.box[1] - groups.box[0]
    np.testing.assert_allclose(sides, np.ptp(patient.mesh.points, axis=0).max(), rtol=1e-4)
    assert 0.8 * found["metrics"]["groups"] < len(groups) <= found["metrics"]["groups"]
    assert set(groups.values.tolist()) == {0.0, 1.0}
    distance = np.linalg.norm(groups.points[::50, None] - patient.mesh.points, axis=2).min(axis=1)
    assert distance.max() < 1e-3, "points are nodes of the mesh, in RAS mm"


# ---- train and apply


@pytest.fixture(scope="module")
def trained(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of `train` on the patient's prepared data."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deeprecon.scar.fit.mlp_fit.MlpSettings", lambda: MlpSettings(batch=1000, learning_rate=3e-3))
        inputs = {
            "myocardium": [str(files["segmentation"])],
            "scar": [str(files["segmentation"])],
            "mesh": str(files["mesh"]),
        }
        Job("scar", "prepare", inputs, {}, "..", "cpu", 1, "fp32").save(folder / "data" / ".job")
        assert run_job(folder / "data" / ".job") == 0
        data = {"data": str(folder / "data" / "training_data.npz")}
        Job("scar", "train", data, {"steps": 150}, "..", "cpu", 1, "fp32", 3).save(folder / "model" / ".job")
        assert run_job(folder / "model" / ".job") == 0
    return folder / "model"


def test_train_writes_a_bundle_with_its_description(trained, result_of):
    bundle = read_bundle(trained / "bundle", "scar")
    assert bundle.network == "mlp"
    assert {name: bundle.parameters[name] for name in ("width", "hidden_layers", "dropout")} == {
        "width": 128,
        "hidden_layers": 4,
        "dropout": 0.1,
    }
    np.testing.assert_array_equal(
        bundle.parameters["box"], read_training_data(trained.parent / "data" / "training_data.npz").box
    )
    sources = {entry["name"]: entry["sha256"] for entry in result_of(trained)["provenance"]["inputs"]}
    for word in ("training_data.npz", sources["training_data.npz"], "seed 3", "groups"):
        assert word in bundle.metadata["training_data"]
    assert "no other patient" in bundle.metadata["valid_for"]
    assert str(trained) not in json.dumps(bundle.metadata)


def test_apply_gives_what_reconstruct_gives(trained, files, done, result_of):
    output = done("apply", inputs={"bundle": trained / "bundle", "mesh": files["mesh"]}, samples=5)
    found = result_of(output)
    assert {"mesh", "table"} == set(found["outputs"])
    assert (found["metrics"]["mesh_unit"], found["metrics"]["mesh_frame"]) == ("mm", "lps")
    mesh = place(read_mesh(output / "mesh.vtu"), "mm", "lps")
    probability, uncertainty, binary = (
        mesh.point_array(f"scar_{name}") for name in ("probability", "uncertainty", "binary")
    )
    np.testing.assert_array_equal(binary, probability > 0.5)
    assert 0 < uncertainty.max() <= 0.5
    assert "scar" in (output / "table.csv").read_text(encoding="utf-8")
    score = result_of(done("evaluate", "score", inputs={"mesh": output / "mesh.vtu", "truth": files["truth"]}))
    assert score["metrics"]["dice"] > 0.75


@pytest.mark.parametrize(("unit", "frame", "suffix"), [("cm", "ras", ".vtu"), ("um", "lps", ".pts")])
def test_apply_finds_unit_and_axes_and_keeps_them(
    unit, frame, suffix, trained, files, patient, tmp_path, done, result_of
):
    path = tmp_path / f"other{suffix}"
    write_mesh(path, patient.mesh, unit, frame)
    plain = done("apply", "plain", inputs={"bundle": trained / "bundle", "mesh": files["mesh"]}, samples=2)
    output = done("apply", inputs={"bundle": trained / "bundle", "mesh": path}, samples=2)
    assert result_of(output)["metrics"]["mesh_unit"] == unit
    assert result_of(output)["metrics"]["mesh_frame"] == frame
    assert result_of(output)["metrics"]["volume_ml"] == pytest.approx(
        result_of(plain)["metrics"]["volume_ml"], abs=0.01
    )


def test_a_mesh_elsewhere_or_with_wrong_axes_is_refused(trained, files, start):
    code, output = start("apply", inputs={"bundle": trained / "bundle", "mesh": files["mesh"]}, mesh_unit="m")
    assert code == BAD_INPUT
    assert "no choice of unit and axes" in message(output)
    assert "--mesh-unit" in message(output)


def test_ambiguous_axes_are_refused(patient, tmp_path):
    reach = np.abs(patient.mesh.points).max() + 1
    box = np.array([[-reach] * 3, [reach] * 3])
    unmarked = MeshFile(tmp_path / "mesh.vtk", patient.mesh.dataset, None, None)
    with pytest.raises(InputError, match="more than one choice"):
        find_in_box(unmarked, box)
    assert find_in_box(unmarked, box, frame="lps") == ("mm", "lps")


# ---- checkpoints from elsewhere


def layers(width: int = 128, count: int = 4, dropout: float = 0.1) -> nn.Sequential:
    """The network that such a checkpoint is of."""
    chain: list[nn.Module] = [nn.Linear(3, width), nn.ReLU()]
    for number in range(1, count):
        chain += [nn.Linear(width, width), *([nn.Dropout(dropout)] if number % 2 == 0 else []), nn.ReLU()]
    return nn.Sequential(*chain, nn.Linear(width, 1), nn.Sigmoid())


def checkpoint(path: Path, width: int = 128, count: int = 4, **changes: Any) -> tuple[Path, nn.Sequential]:
    """A file as cardioscar writes it: numpy numbers in its history, arrays as its scaler."""
    torch.manual_seed(0)
    network = layers(width, count)
    content: dict[str, Any] = {
        "model_state_dict": {f"network.{name}": value for name, value in network.state_dict().items()},
        "history": {"losses": [np.float64(0.25), np.float32(0.125)], "lrs": [1e-3, np.float64(2e-3)], "best_epoch": 1},
        "hyperparameters": {
            "dropout_rate": 0.1,
            "hidden_size": width,
            "n_hidden_layers": count,
            "mc_samples": 3,
            "batch_size": 10_000,
            "base_lr": 1e-3,
            "max_lr": 1e-2,
        },
        "dataset_info": {
            "n_nodes": 1234,
            "n_groups": np.int64(56),
            "scaler_min": np.array([-40.0, -50.0, 0.0], np.float32),
            "scaler_max": np.array([60.0, 30.0, 90.0]),
        },
    }
    for name, value in changes.items():
        content[name] = value if not isinstance(content.get(name), dict) else {**content[name], **value}
        if isinstance(content[name], dict):
            content[name] = {key: entry for key, entry in content[name].items() if entry is not ...}
    torch.save(content, path)
    return path, network


def test_a_checkpoint_becomes_a_bundle_of_the_same_network(tmp_path, done, result_of):
    path, network = checkpoint(tmp_path / "model.pth")
    output = done("import-checkpoint", inputs={"checkpoint": path})
    bundle = read_bundle(output / "bundle", "scar")
    assert bundle.parameters["box"] == [[-40.0, -50.0, 0.0], [60.0, 30.0, 90.0]]
    assert "1234 nodes in 56 groups" in bundle.metadata["training_data"]
    (weights,) = load_weights(bundle)
    assert {name.removeprefix("network."): value.tolist() for name, value in weights.items()} == {
        name: value.tolist() for name, value in network.state_dict().items()
    }
    made, _ = read_checkpoint(path)
    points = np.random.default_rng(0).uniform([-40, -50, 0], [60, 30, 90], (100, 3))
    scaled = (points - [-40, -50, 0]) / [100, 80, 90]
    with torch.no_grad():
        expected = network.eval()(torch.tensor(scaled, dtype=torch.float32))[:, 0]
        torch.testing.assert_close(made.eval()(made.coordinates(points))[0], expected)


@pytest.mark.parametrize(("width", "count"), [(256, 4), (64, 6)])
def test_sizes_that_a_checkpoint_does_not_state_are_read_off_its_weights(width, count, tmp_path):
    """Fault 11: a fine-tuned network of another size than the usual that cannot be loaded any more."""
    sizes = {"hidden_size": ..., "n_hidden_layers": ...}
    network, _ = read_checkpoint(checkpoint(tmp_path / "tuned.pth", width, count, hyperparameters=sizes)[0])
    assert (network.width, network.hidden_layers) == (width, count)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hyperparameters": {"hidden_size": 256}}, "states hidden_size 256, its weights have 128"),
        ({"hyperparameters": {"dropout_rate": 0.0}}, "dropout_rate is 0.0"),
        ({"hyperparameters": {"dropout_rate": ...}}, "dropout_rate is None"),
        ({"dataset_info": {"scaler_min": ...}}, "lacks scaler_min"),
        ({"dataset_info": {"scaler_max": np.array([60.0, 30.0])}}, "lacks scaler_min or scaler_max"),
        ({"dataset_info": {"scaler_max": np.array([60.0, np.nan, 90.0])}}, "are no box"),
        ({"model_state_dict": {"network.9.bias": ...}}, r"other layers than cardioscar's.*network\.9.bias"),
        ({"model_state_dict": {"network.9.more": torch.zeros(1)}}, r"other layers than cardioscar's.*network\.9.more"),
        ({"model_state_dict": {"network.9.bias": torch.zeros(2)}}, "other layers than cardioscar's"),
        ({"model_state_dict": {"network.9.bias": torch.tensor([np.nan])}}, "no tensor of finite numbers"),
        ({"dataset_info": []}, "it lacks dataset_info"),
    ],
)
def test_invalid_checkpoints_are_refused_with_a_reason(changes, words, tmp_path):
    path, _ = checkpoint(tmp_path / "model.pth")
    if isinstance(changes.get("dataset_info"), list):
        content = torch.load(path, weights_only=False)
        torch.save({**content, **changes}, path)
    else:
        path, _ = checkpoint(path, **changes)
    with pytest.raises(InputError, match=words) as caught:
        read_checkpoint(path)
    assert "model.pth" in caught.value.message


def test_a_network_without_dropout_is_refused(tmp_path):
    """Fault 12, in a checkpoint."""
    with pytest.raises(InputError, match=r"model\.pth: A network of 2 hidden layers has no dropout"):
        read_checkpoint(checkpoint(tmp_path / "model.pth", count=2)[0])


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("place", ["history", "dataset_info"])
def test_a_checkpoint_that_would_run_something_is_refused_and_runs_nothing(place, tmp_path, start):
    """Fault 15."""
    path, _ = checkpoint(tmp_path / "model.pth", **{place: {"extra": Trap(tmp_path / "sprung")}})
    code, output = start("import-checkpoint", inputs={"checkpoint": path})
    assert code == BAD_INPUT
    assert "loading it could run a program" in message(output)
    assert not (tmp_path / "sprung").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "sprung").exists(), "the trap works where it is not kept shut"


def test_numpy_objects_do_not_allow_other_code(tmp_path):
    trap = np.array([Trap(tmp_path / "sprung"), 1], object)
    path, _ = checkpoint(tmp_path / "model.pth", history={"losses": trap})
    with pytest.raises(InputError, match="could run a program"):
        read_checkpoint(path)
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    (tmp_path / "text.pth").write_text("no weights", encoding="utf-8")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "state.pth")
    for name, words in (("text", "damaged|could run"), ("list", "no checkpoint"), ("state", "lacks model_state_dict")):
        with pytest.raises(InputError, match=words):
            read_checkpoint(tmp_path / f"{name}.pth")


def test_a_checkpoint_is_imported_from_the_shell_and_applied(tmp_path, patient):
    points = patient.mesh.points
    box = {"scaler_min": points.min(axis=0), "scaler_max": points.max(axis=0)}
    path, _ = checkpoint(tmp_path / "model.pth", dataset_info=box)
    arguments = [str(path), "--output", str(tmp_path / "model")]
    assert cli.main(["scar", "import-checkpoint", *arguments]) == cli.DONE
    write_mesh(tmp_path / "mesh.vtu", patient.mesh, "mm", "ras")
    inputs = ["--bundle", str(tmp_path / "model" / "bundle"), "--mesh", str(tmp_path / "mesh.vtu"), "--samples", "2"]
    run = ["--device", "cpu", "--threads", "1", "--output", str(tmp_path / "out")]
    assert cli.main(["scar", "apply", *inputs, *run]) == cli.DONE
    assert (tmp_path / "out" / "mesh.vtu").exists()


def test_a_bundle_of_another_network_is_refused(trained, files, tmp_path, start):
    folder = tmp_path / "bundle"
    shutil.copytree(trained / "bundle", folder)
    card = folder / "configs" / "metadata.json"
    for changes, words in (({"network": "field"}, "not 'mlp'"), ({"parameters": {"width": 64}}, "do not fit")):
        original = json.loads((trained / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
        card.write_text(json.dumps({**original, **changes}), encoding="utf-8")
        code, output = start("apply", inputs={"bundle": folder, "mesh": files["mesh"]})
        assert code == BAD_INPUT
        assert words in message(output)
        (output / ".job" / "events.jsonl").unlink()
