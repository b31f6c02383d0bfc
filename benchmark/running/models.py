"""Loads trained models from their artifact folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.methods import METHODS
from benchmark.running.config import with_needed
from benchmark.running.store import verify

if TYPE_CHECKING:
    from benchmark.model.interface import CircuitModel

Inputs = Mapping[str, Path]


def load_variant(name: str, variant: str, inputs: Inputs) -> "CircuitModel":
    """One variant of a trained method, loaded together with the models that it needs."""
    method = METHODS.named(name)
    return method.run_load(inputs[name], variant, {needed: load_native(needed, inputs) for needed in method.needs})


def load_model(run: Path, method: str, variant: str | None = None) -> "CircuitModel":
    """Load a trained model, ready to be recorded and edited.

    Args:
        run: Folder with an artifact folder, named after the method, for the method and for each method that it needs.
        method: Name of the method.
        variant: How to read its artifact; the first variant if left out.

    Raises:
        CorruptArtifactError: A file of these artifacts is missing, changed or unexpected.
    """
    chosen = METHODS.named(method).variants[0].name if variant is None else variant
    return load_variant(method, chosen, {name: verify(run / name) for name in with_needed(method)})


def load_native(name: str, inputs: Inputs) -> "CircuitModel":
    """The first variant of a trained method."""
    return load_variant(name, METHODS.named(name).variants[0].name, inputs)
