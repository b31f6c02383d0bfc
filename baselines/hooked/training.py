"""Takes a model as it is into the folder of an artifact, and loads it from there."""

from pathlib import Path

from safetensors.torch import save_file

from baselines.hooked import HookedConfig
from baselines.hooked.folders import is_model_folder, outside_model
from baselines.hooked.reading import quiet, read_hooked_transformer, read_model, written_config
from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.files import read_json
from benchmark.methods import Facts
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.interface import next_token_loss
from benchmark.progress import Progress

MODEL, SETTINGS = "model.safetensors", "model.json"

MOST_OPENED_POSITIONS = 2048
"""Positions of a model with rotary embeddings that is opened outside a run, whose masks grow with their square."""


def train(corpus: Corpus, config: HookedConfig, seed: int, needed: object, folder: Path, progress: Progress) -> Facts:
    """Read the model, make sure that its nodes and edges can be ablated, and measure its loss on the corpus.

    Nothing is trained, so every seed gives the same model.

    Raises:
        ValueError: The model cannot be read, or has a part that cannot be ablated exactly.
    """
    progress(0, 2, "reading the model")
    outside = outside_model(config)
    hooked = read_model(outside, corpus.config.context)
    try:
        model = HookedCircuitModel(hooked)
    except ValueError as error:
        raise ValueError(f"hooked.model {outside.name!r}: {error}") from error
    parameters = {name: each.detach().contiguous() for name, each in hooked.named_parameters()}
    save_file(parameters, folder / MODEL)
    (folder / SETTINGS).write_text(written_config(hooked), encoding="utf-8")
    progress(1, 2, "validation loss")
    loss = next_token_loss(model, *spread_windows(corpus, "validation", config.validation_tokens))
    count = sum(each.numel() for each in parameters.values())
    nonzero = sum(int(each.count_nonzero()) for each in parameters.values())
    return Facts(loss, count, nonzero, bigram_parameters=0, training_flops=None)


def opened(folder: Path) -> HookedCircuitModel | None:
    """The model in a folder of Hugging Face or with a `HookedTransformer`; `None` for a folder of something else.

    Raises:
        ValueError: The model cannot be read, or has a part that cannot be ablated exactly.
    """
    if not is_model_folder(folder):
        return None
    outside = outside_model(HookedConfig(model=str(folder)))
    return HookedCircuitModel(read_model(outside, MOST_OPENED_POSITIONS))


def load(folder: Path, variant: str, needed: object) -> HookedCircuitModel:
    """The model; `CorruptFileError` if a file is damaged."""
    with quiet():
        return HookedCircuitModel(read_hooked_transformer(folder / MODEL, read_json(folder / SETTINGS)))
