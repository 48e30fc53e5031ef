"""The cards and READMEs of trained bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deeprecon.ctpa.encoders.pretrained import CARDS
from deeprecon.ctpa.parameters import EncoderName
from deeprecon.data.files import sha256
from deeprecon.training.bundle import Card

_CT = {"type": "image", "format": "hounsfield", "num_channels": 1, "value_range": [-1000, 1000]}


def autoencoder_bundle_card(name: str, presets: Sequence[str], training_data: str) -> Card:
    """Of an autoencoder, by `AutoencoderName`."""
    return Card(
        name=f"Chest CT autoencoder, {name}",
        version="1.0.0",
        description="Encodes chest CTs as latents, and decodes them, for latent diffusion.",
        valid_for=f"CTs on the grid of {' and '.join(presets)}, like those that it was trained on.",
        training_data=training_data,
        license="NOASSERTION",
        authorship="The person who trained it",
        task="Compression of chest CTs",
        inputs={"ct": _CT},
        outputs={"ct": _CT},
    )


def model_bundle_card(training_data: str, phantoms: bool, name: EncoderName, encoder: Path | None) -> Card:
    """Of a denoiser with its autoencoder.

    Args:
        training_data: as text.
        phantoms: all training cases were phantoms.
        name: of the X-ray encoder.
        encoder: file of a frozen encoder, whose weights the bundle holds; it is named with its license.
    """
    kind = "phantom-trained demonstrator" if phantoms else "trained on the user's own pairs"
    description = (
        "RandomBatches chest CTs that one frontal X-ray may belong to. They are synthetic, whatever they show."
    )
    if encoder is not None:
        card = CARDS[name.value]
        description += (
            f" It holds the frozen X-ray encoder {name.value} from {encoder.name} (sha256 {sha256(encoder)}), published"
            f" by {card.source}, under its own license: {card.license}."
        )
    return Card(
        name=f"X-ray to CT, {kind}",
        version="1.0.0",
        description=description,
        valid_for="Frontal chest X-rays like those that it was trained on. Emboli cannot be told from an X-ray.",
        training_data=training_data,
        license="Apache-2.0" if phantoms and encoder is None else "NOASSERTION",
        authorship="DeepRecon contributors" if phantoms else "The person who trained it",
        task="Synthesis of a chest CT from an X-ray",
        inputs={"xray": {"type": "image", "format": "magnitude", "num_channels": 1}},
        outputs={"ct": _CT},
    )


def readme(card: Card, command: str) -> str:
    """The README of a bundle, with the command that uses it."""
    return (
        f"# {card.name}\n\n{card.description}\n\nValid for: {card.valid_for}\n\nTrained on: {card.training_data}.\n\n"
        f"Research only, not for diagnosis.\n\n    python -m deeprecon ctpa {command}\n"
    )
