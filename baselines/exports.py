"""Exports trained dictionaries in the formats of other tools."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from baselines.files import SETTINGS, WEIGHTS, load_dictionary
from baselines.hook_names import their_name
from benchmark.files import CorruptFileError, read_json
from benchmark.methods import METHODS, TrainedArtifact

READS = {"resid_post": "resid_post", "mlp_out": "mlp_in"}
"""What a dictionary reads, by what it predicts, which is the hook point that its folder is named after."""


def sae_lens(trained: TrainedArtifact, folder: Path) -> None:
    """Write one folder of SAELens per layer, which `SAE.load_from_disk` reads.

    The weights are copies of what was trained. The configs name the hook points that the dictionary was trained on, as
    SAELens expects; the mean errors, which are ours alone, are left out.

    Raises:
        ValueError: A transcoder reads more than the residual stream, as it does with concatenated positions.
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
        ValueError: The format cannot say what a transcoder computes; one line that names it.
    """
    from baselines.circuit_tracer_files import save_circuit_tracer

    predicted = [source.name for source in _layers(trained.folder)]
    read = [name.replace("mlp_out", "mlp_in") for name in predicted]
    save_circuit_tracer(load_dictionary(trained.folder, predicted, read), folder)


def circuit_tracer_clt(trained: TrainedArtifact, folder: Path) -> None:
    """Write a cross-layer transcoder as circuit-tracer reads it.

    Raises:
        ValueError: The format cannot say what it computes, such as TopK; one line that names it.
    """
    from baselines.circuit_tracer_files import save_circuit_tracer
    from baselines.clt.files import load_cross_layer

    save_circuit_tracer(load_cross_layer(trained.folder), folder)


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
    if settings.get("d_out", settings["d_in"]) != settings["d_in"]:
        raise ValueError(
            f"{source.name} reads {settings['d_in']} channels, concatenated positions among them, which no hook point "
            "of TransformerLens has; it cannot be exported to sae-lens"
        )
    hooks = {"hook_name": their_name(f"{block}.{READS[predicted]}")}
    if READS[predicted] != predicted:
        hooks["hook_name_out"] = their_name(source.name)
    (dense,) = METHODS.named(trained.method).needs
    context = read_json(trained.inputs["corpus"] / "corpus.json")["config"]["context"]
    about = {"model_name": f"sparse-circuit-bench {dense}", "context_size": context, "seed": trained.seed}
    return {**(settings.get("metadata") or {}), **hooks, **about}
