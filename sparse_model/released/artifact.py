"""The released model of a run: what `train` writes into its folder without training, and how it is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.corpus import Corpus
from benchmark.disk import remove_partial
from benchmark.files import CorruptFileError, read_json, read_tensors
from benchmark.methods import Facts
from benchmark.model.circuit import Circuit
from benchmark.progress import Progress
from sparse_model.checkpoint import write_json, write_tensors
from sparse_model.config import TransformerConfig
from sparse_model.released.checkpoint import load_released
from sparse_model.released.circuits import read_circuit, read_means
from sparse_model.released.config import CONFIG, unknown_keys
from sparse_model.released.files import unread_folders
from sparse_model.released.method import ReleasedSettings
from sparse_model.released.outside import chosen_circuits
from sparse_model.training import facts_after, save_transformer
from sparse_model.transformer import Transformer, load_transformer

MEANS = "stated_means.safetensors"
"""The ablation values that came with the model."""

NOTES = "released.json"
"""What was left unread of the released files."""


def train(
    corpus: Corpus, config: ReleasedSettings, seed: int, needed: object, folder: Path, progress: Progress
) -> Facts:
    """Write a released model in the format of our own, with its circuits and means: the `train` of a `Method`.

    Args:
        corpus: A corpus in the tokens of the model.
        config: Where its files are.
        seed: Unused: nothing is drawn.
        needed: Unused: no other model is needed.
        folder: Receives `model.safetensors`, `config.json`, `circuit.TASK.safetensors`, the means if there are any, and
            `released.json`, which says what was left unread.
        progress: Receives what was left unread.

    Raises:
        ValueError: One line with the file, for files that are not those of a released model or do not fit each other.
    """
    path = Path(config.path)
    notes: dict[str, Any] = {"unknown_keys": unknown_keys(read_json(path / CONFIG))}
    progress(0, 3, told(notes))
    model = load_released(path)
    save_transformer(model, folder, curve=[])
    notes |= write_circuits(model, config, folder)
    if config.means:
        write_tensors(folder / MEANS, read_means(Path(config.means), model.sites))
    write_json(folder / NOTES, notes)
    progress(2, 3, told(notes))
    facts = facts_after(model, corpus, config.validation_windows, tokens=None)
    remove_partial(folder)
    progress(3, 3, told(notes))
    return facts


def load(folder: Path, variant: str, needed: object) -> Transformer:
    """The released model in an artifact's folder, with its circuits by task and its means: the `load` of a `Method`."""
    assert variant == "native", variant
    model = load_transformer(folder)
    files = {file.name.split(".")[1]: file for file in sorted(folder.glob("circuit.*.safetensors"))}
    model.circuits = {task: Circuit.load(file) for task, file in files.items()}
    means = folder / MEANS
    model.stated_means = read_tensors(means) if means.is_file() else {}
    return model


def opened(folder: Path) -> Transformer | None:
    """The model in a folder as it was released; `None` for a folder of something else: the `opens` of a `Method`."""
    return load_released(folder) if (folder / CONFIG).is_file() else None


def write_circuits(model: Transformer, config: ReleasedSettings, folder: Path) -> dict[str, Any]:
    """Write the circuits of a model into a folder, and return what was left unread of them."""
    files, final = chosen_circuits(config), {}
    for task, file in files.items():
        found = read_circuit(file, model.sites)
        check_same_model(file, found.config, model.config)
        found.circuit.save(folder / f"circuit.{task}.safetensors")
        final[task] = found.final
    unread = unread_folders(Path(config.circuits), files) if config.circuits else []
    return {"final_resid_nodes": final, "unread_folders": unread}


def check_same_model(file: Path, stated: Mapping[str, Any], config: TransformerConfig) -> None:
    """`CorruptFileError` if the config in the file of a circuit is that of another model."""
    wanted = {
        "n_layer": config.layers,
        "d_model": config.d_model,
        "n_head": config.heads,
        "d_mlp": config.neurons,
        "vocab_size": config.vocabulary,
        "block_size": config.context,
    }
    for key, value in wanted.items():
        if stated.get(key, value) not in (value, None):
            raise CorruptFileError(file, f"is of a model with {key} {stated[key]!r:.100}, and this one has {value}")


def told(notes: Mapping[str, Any]) -> str:
    """What was left unread, as a line of progress; empty if nothing was."""
    said = []
    if notes["unknown_keys"]:
        said.append(f"left unread: {', '.join(notes['unknown_keys'])}")
    if nodes := sum(notes.get("final_resid_nodes", {}).values()):
        said.append(f"{nodes} nodes of final_resid, which is in no graph, left out")
    if notes.get("unread_folders"):
        said.append(f"folders of no task: {', '.join(notes['unread_folders'])}")
    return "; ".join(said)
