"""What can be known of GPUs without one: which operations exist there, and where double precision is used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from deeprecon.ctpa.autoencoder.network import AUTOENCODERS, Autoencoder
from deeprecon.ctpa.encoders.spatial import XrayEncoder
from deeprecon.dwmri.networks.architectures import ARCHITECTURES, CHANNELS, FEATURES, build
from deeprecon.scar.fit.field import Field
from deeprecon.scar.fit.mlp import Mlp
from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet
from deeprecon.seizure.networks.deepepi import new_network
from deeprecon.training.devices import tell_of_missing_operations, to_float64

LIBRARY = Path(__file__).resolve().parents[3] / "Logic" / "deeprecon"
ANY_DEVICE = ("CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional")
NETWORKS: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]] = {
    "field": lambda: (Field([1.0, 2.0, 3.0], 0.2, 3, 8, 2.0, 16, 2, 0), (torch.randn(5, 3),)),
    "mlp": lambda: (Mlp(16, 3, 0.1, [[0, 0, 0], [1, 1, 1]]).network, (torch.randn(5, 3),)),
    "bcrnet": lambda: (BcrNet(Architecture(32, 34, 12, 2, 2, 1, 2)), (torch.randn(2, 34, 32),)),
    "deepepi": lambda: (new_network(0), (torch.randn(4, 750),)),
    "xray encoder": lambda: (XrayEncoder(8, 4), (torch.randn(1, 1, 48, 32),)),
    "autoencoder": lambda: (Autoencoder(AUTOENCODERS["small-4x"]), (torch.randn(1, 1, 16, 16, 16),)),
    **{
        f"dwmri {name}": lambda name=name: (
            build(name, 8),
            (torch.randn(2, CHANNELS, 6, 8, 8), torch.randn(2, FEATURES)),
        )
        for name in ARCHITECTURES
    },
}
"""A small network of each kind, and what it is given."""


class Operations(TorchDispatchMode):
    """Collects the names of the operations that are run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name().removeprefix("aten::").removesuffix(".default"))
        return func(*args, **(kwargs or {}))


@cache
def devices_of_operations() -> dict[str, set[str]]:
    """By operation: for which devices PyTorch has it, from the table that its kernels are generated from."""
    folder = Path(next(iter(find_spec("torchgen").submodule_search_locations)))
    table = (folder / "packaged" / "ATen" / "native" / "native_functions.yaml").read_text(encoding="utf-8")
    entries = yaml.load(table, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    found = {}
    for entry in entries:
        names = ",".join(entry.get("dispatch", {"CompositeImplicitAutograd": ""})).replace(" ", "").split(",")
        if "ufunc_inner_loop" in entry:  # kernels for both are generated
            names += ["CPU", "CUDA"]
        if delegate := entry.get("structured_delegate"):
            names.append(delegate)
        found[entry["func"].partition("(")[0]] = set(names)
    return found


def exists_on(operation: str, device: str) -> bool:
    """Whether an operation, or the one it is made of, has a kernel for a device or for any."""
    table = devices_of_operations()
    names = table[operation]
    return bool(names & {device, *ANY_DEVICE}) or any(exists_on(name, device) for name in names if name in table)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("device", ["CUDA", "MPS"])
def test_every_operation_of_a_network_and_its_training_exists_on_gpus(name: str, device: str) -> None:
    network, inputs = NETWORKS[name]()
    with Operations() as operations:
        result = network(*inputs)
        (result if isinstance(result, Tensor) else sum(part.sum() for part in result)).sum().backward()
    assert len(operations.names) > 5
    assert {entry for entry in operations.names if not exists_on(entry, device)} == set()


def test_the_table_knows_operations_that_a_device_lacks() -> None:
    assert not exists_on("mkldnn_linear", "MPS")
    assert exists_on("mm", "MPS")


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_do_not_depend_on_values(name: str) -> None:
    """So that no GPU has to wait for the CPU: on PyTorch's meta device there are no values."""
    network, inputs = NETWORKS[name]()
    expected = network(*inputs)
    found = network.to("meta")(*(values.to("meta") for values in inputs))
    for here, there in zip(*(part if isinstance(part, tuple) else (part,) for part in (found, expected)), strict=True):
        assert here.shape == there.shape


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_under_autocast(name: str) -> None:
    network, inputs = NETWORKS[name]()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        result = network.eval()(*inputs)
    assert all(part.isfinite().all() for part in (result if isinstance(result, tuple) else (result,)))


def test_tensors_become_double_in_one_place_that_knows_apples_gpus() -> None:
    found = [path.name for path in LIBRARY.rglob("*.py") if ".double()" in path.read_text(encoding="utf-8")]
    assert found == ["devices.py"]
    moved = torch.ones(2)
    on_apple = SimpleNamespace(device=torch.device("mps"), cpu=lambda: moved)
    assert to_float64(on_apple).dtype == to_float64(moved).dtype == torch.float64


def test_an_operation_that_runs_on_the_cpu_is_told() -> None:
    told: list[str] = []
    missing = (
        "The operator 'aten::_linalg_eigh.eigenvalues' is not currently supported on the MPS backend and will fall "
        "back to run on the CPU. This may have performance implications."
    )
    with warnings.catch_warnings(record=True) as others, tell_of_missing_operations(told.append):
        warnings.warn(missing, stacklevel=1)
        warnings.warn("another", stacklevel=1)
    assert [str(other.message) for other in others] == ["another"]
    assert len(told) == 1
    assert "no _linalg_eigh.eigenvalues on this device" in told[0]
