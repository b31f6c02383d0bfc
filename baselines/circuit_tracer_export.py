"""Exports trained transcoders as folders of circuit-tracer: what `bench export METHOD --to circuit-tracer` writes.

The folder of a cross-layer transcoder in the store has tensors with circuit-tracer's names, but no hook points, and its
TopK would be read as a ReLU there: export it instead of copying it.
"""

import re
from pathlib import Path

from baselines.circuit_tracer_files import read_circuit_tracer, save_circuit_tracer
from baselines.clt.files import load_cross_layer
from baselines.files import load_dictionary
from baselines.saved.sources import is_circuit_tracer

LAYER = r"blocks\.(\d{1,4})\.mlp_out"
"""Names of the folders of transcoders in an artifact."""


def export_transcoders(artifact: Path, folder: Path) -> None:
    """Write the transcoders in the folder of an artifact, ours or saved ones.

    Raises:
        ValueError: The format cannot say what they compute; one line that names it.
    """
    if is_circuit_tracer(artifact):
        save_circuit_tracer(read_circuit_tracer(artifact)[0], folder)
        return
    layers = sorted(int(found[1]) for each in artifact.iterdir() if (found := re.fullmatch(LAYER, each.name)))
    places = [f"blocks.{layer}.mlp_out" for layer in layers]
    save_circuit_tracer(load_dictionary(artifact, places, transcoders=True), folder)


def export_cross_layer(artifact: Path, folder: Path) -> None:
    """Write the cross-layer transcoder in the folder of an artifact, ours or a saved one; errors as above."""
    read = read_circuit_tracer(artifact)[0] if is_circuit_tracer(artifact) else load_cross_layer(artifact)
    save_circuit_tracer(read, folder)
