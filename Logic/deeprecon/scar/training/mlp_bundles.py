"""Model bundles of the coordinate network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deeprecon.data.errors import InputError
from deeprecon.training.bundle import Bundle, Card, load_weights, write_bundle

if TYPE_CHECKING:
    from deeprecon.scar.fit.mlp import Mlp

NETWORK = "mlp"
"""Name of the network on a bundle's card."""


def write_mlp_bundle(folder: Path, network: Mlp, training_data: str) -> Bundle:
    card = Card(
        name="Scar of one heart",
        version="1.0.0",
        description="Scar probability as a function of place in one heart, with dropout for the uncertainty.",
        valid_for="The one heart that it was trained on, in the coordinates of its training data; no other patient.",
        training_data=training_data,
        license="NOASSERTION",
        authorship="The person who trained it",
        task="Scar reconstruction from sparse slices",
        inputs={"coordinates": {"type": "value", "format": "place in the box, 0 to 1", "num_channels": 3}},
        outputs={"probability": {"type": "probability", "format": "scar", "num_channels": 1, "value_range": [0, 1]}},
    )
    parameters = {
        "width": network.width,
        "hidden_layers": network.hidden_layers,
        "dropout": network.dropout,
        "box": network.box.tolist(),
    }
    readme = (
        f"# {card.name}\n\n{card.description}\n\nValid for: {card.valid_for}\n\nTrained on: {training_data}.\n\n"
        f"{network.hidden_layers} hidden layers of {network.width} units. Research only, not for diagnosis.\n\n"
        "    python -m deeprecon scar apply --bundle THIS_FOLDER --mesh heart.vtu --output DIR\n"
    )
    return write_bundle(folder, card, "scar", NETWORK, parameters, [network.state_dict()], readme)


def load_mlp(bundle: Bundle) -> Mlp:
    """The network of a bundle, on the CPU."""
    if bundle.network != NETWORK:
        raise InputError(
            f"{bundle.folder} holds a network {bundle.network!r}, not {NETWORK!r}.", "Choose another bundle."
        )
    from deeprecon.scar.fit.mlp import Mlp

    try:
        network = Mlp(**bundle.parameters)
        (weights,) = load_weights(bundle)
        network.load_state_dict(weights)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:  # other sizes, or several members
        raise InputError(f"{bundle.folder}: card and weights do not fit: {error}.", "Choose another bundle.") from error
    return network
