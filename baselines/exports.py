"""Exports trained dictionaries in the formats of other tools."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from baselines.files import SETTINGS, WEIGHTS
from benchmark.files import CorruptFileError, read_json
from benchmark.methods import METHODS, TrainedArtifact

HOOKS = {
    "resid_post": {"hook_name": "blocks.{layer}.hook_resid_post"},
    "mlp_out": {"hook_name": "blocks.{layer}.ln2.hook_normalized", "hook_name_out": "blocks.{layer}.hook_mlp_out"},
}
"""Where a dictionary reads and writes, in TransformerLens's names, by the hook point that its folder is named after."""


def sae_lens(trained: TrainedArtifact, folder: Path) -> None:
    """Write one folder of SAELens per layer, which `SAE.load_from_disk` reads.

    The weights are copies of what was trained. The configs name the hook points that the dictionary was trained on, as
    SAELens expects; the mean errors, which are ours alone, are left out.

    Raises:
        ValueError: A transcoder reads more than the residual stream, as it does with concatenated positions.
    """
    for source in sorted(trained.folder.glob("blocks.*")):
        settings = read_json(source / SETTINGS)
        made = folder / source.name
        made.mkdir()
        shutil.copyfile(source / WEIGHTS, made / WEIGHTS)
        settings["metadata"] = _metadata(source, settings, trained)
        (made / SETTINGS).write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _metadata(source: Path, settings: dict[str, Any], trained: TrainedArtifact) -> dict[str, Any]:
    """What SAELens saves of where a dictionary belongs, in addition to what is there."""
    found = re.fullmatch(r"blocks\.([0-9]+)\.(\w+)", source.name)
    if not found or found[2] not in HOOKS:
        raise CorruptFileError(source, f"is not named after a hook point; choose from {', '.join(HOOKS)}")
    if settings.get("d_out", settings["d_in"]) != settings["d_in"]:
        raise ValueError(
            f"{source.name} reads {settings['d_in']} channels, the concatenated positions among them, which no hook "
            "point of TransformerLens has; it cannot be exported to sae-lens"
        )
    context = read_json(trained.inputs["corpus"] / "corpus.json")["config"]["context"]
    (dense,) = METHODS.named(trained.method).needs
    hooks = {name: hook.format(layer=found[1]) for name, hook in HOOKS[found[2]].items()}
    about = {"model_name": f"sparse-circuit-bench {dense}", "context_size": context, "seed": trained.seed}
    return {**(settings.get("metadata") or {}), **hooks, **about}
