"""Loads trained models from their artifact folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.methods import METHODS

if TYPE_CHECKING:
    from benchmark.model.interface import CircuitModel

Inputs = Mapping[str, Path]


def load_variant(name: str, variant: str, inputs: Inputs) -> "CircuitModel":
    """One variant of a trained method, loaded together with the models that it needs."""
    method = METHODS.named(name)
    return method.run_load(inputs[name], variant, {needed: load_native(needed, inputs) for needed in method.needs})


def load_native(name: str, inputs: Inputs) -> "CircuitModel":
    """The first variant of a trained method."""
    return load_variant(name, METHODS.named(name).variants[0].name, inputs)
