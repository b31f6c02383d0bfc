"""Exports trained dictionaries in the formats of other tools."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from baselines.circuit_tracer_files import read_circuit_tracer, save_circuit_tracer
from baselines.clt.files import load_cross_layer
from baselines.file_names import SETTINGS, WEIGHTS, is_circuit_tracer
from baselines.files import load_dictionary
from baselines.hook_names import their_name
from benchmark.files import CorruptFileError, read_json
from benchmark.methods import METHODS, TrainedArtifact

READS = {"resid_post": "resid_post", "mlp_out": "mlp_in"}
"""What a dictionary reads, by what it predicts, which is the hook point that its folder is named after."""


def sae_lens(trained: TrainedArtifact, folder: Path) -> None:
    """Write one folder of SAELens per layer, which `SAE.load_from_disk` reads.

    The weights are copies of what was trained. The configs name the hook points that the dictionary was trained on, in
    TransformerLens's names; in ours if a transcoder reads more than the residual stream, as it does with concatenated
    positions, since no hook point there has these channels. The mean errors, which are ours alone, are left out.
    """
    for source in _layers(trained.folder):
        settings = read_json(source / SETTINGS)
        made = folder / source.name
        made.mkdir()
        shutil.copyfile(source / WEIGHTS, made / WEIGHTS)
        settings["metadata"] = _metadata(source, settings, trained)
        (made / SETTINGS).write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def circuit_tracer(trained: TrainedArtifact, folder: Path) -> None:
    """Write the transcoders of all layers as a transcoder set of circuit-tracer.

    Raises:
        ValueError: The format cannot say what a transcoder computes, such as one that reads concatenated positions; one
            line that names it.
    """
    export_transcoders(trained.folder, folder)


def circuit_tracer_clt(trained: TrainedArtifact, folder: Path) -> None:
    """Write a cross-layer transcoder as circuit-tracer reads it.

    Raises:
        ValueError: The format cannot say what it computes, such as TopK; one line that names it.
    """
    export_cross_layer(trained.folder, folder)


def export_transcoders(artifact: Path, folder: Path) -> None:
    """Write the transcoders in the folder of an artifact, ours or saved ones, as a folder of circuit-tracer.

    Raises:
        ValueError: The format cannot say what they compute; one line that names it.
    """
    if is_circuit_tracer(artifact):
        save_circuit_tracer(read_circuit_tracer(artifact)[0], folder)
        return
    places = [source.name for source in _layers(artifact)]
    save_circuit_tracer(load_dictionary(artifact, places, transcoders=True), folder)


def export_cross_layer(artifact: Path, folder: Path) -> None:
    """Write the cross-layer transcoder in the folder of an artifact, ours or a saved one; errors as above.

    Ours has tensors with circuit-tracer's names, but no hook points, and its TopK would be read as a ReLU there: it
    cannot be copied.
    """
    read = read_circuit_tracer(artifact)[0] if is_circuit_tracer(artifact) else load_cross_layer(artifact)
    save_circuit_tracer(read, folder)


def _layers(folder: Path) -> list[Path]:
    """The folder of each layer of a dictionary, in order."""
    found = {}
    for path in folder.glob("blocks.*"):
        named = re.fullmatch(r"blocks\.([0-9]{1,4})\.(\w+)", path.name)
        if named is None or named[2] not in READS:
            raise CorruptFileError(path, f"is not named after a hook point; choose from {', '.join(READS)}")
        found[int(named[1])] = path
    return [found[layer] for layer in sorted(found)]


def _metadata(source: Path, settings: dict[str, Any], trained: TrainedArtifact) -> dict[str, Any]:
    """What SAELens saves of where a dictionary belongs, in addition to what is there."""
    block, _, predicted = source.name.rpartition(".")
    names = [f"{block}.{READS[predicted]}", *([source.name] if READS[predicted] != predicted else [])]
    if settings.get("d_out", settings["d_in"]) == settings["d_in"]:
        names = list(map(their_name, names))
    hooks = dict(zip(("hook_name", "hook_name_out"), names, strict=False))
    (dense,) = METHODS.named(trained.method).needs
    context = read_json(trained.inputs["corpus"] / "corpus.json")["config"]["context"]
    about = {"model_name": f"sparse-circuit-bench {dense}", "context_size": context, "seed": trained.seed}
    return {**(settings.get("metadata") or {}), **hooks, **about}
