"""The names of the files that dictionaries consist of, in the formats that are read. Imports no torch."""

from pathlib import Path

SETTINGS, WEIGHTS = "cfg.json", "sae_weights.safetensors"
"""The settings and the weights of a layer of sae-lens."""

SPARSIFY_WEIGHTS = "sae.safetensors"
"""The weights of a layer of sparsify, whose settings are called as those of sae-lens."""

CIRCUIT_TRACER_SETTINGS = "config.yaml"
"""The settings of a folder of circuit-tracer."""

MOST_LAYERS = 1000
"""Most layers of a model."""


def is_sparsify(folder: Path) -> bool:
    """Whether a folder is a layer of sparsify."""
    return (folder / SPARSIFY_WEIGHTS).exists()


def is_circuit_tracer(folder: Path) -> bool:
    """Whether a folder is one of circuit-tracer."""
    return (folder / CIRCUIT_TRACER_SETTINGS).exists()
