"""What a run has to know of a released model before it is read: its files, tokenizer and size. Imports no torch."""

from pathlib import Path

from benchmark.corpus.given_tokenizer import read_given, tokenizer_file
from benchmark.files import digest_of
from benchmark.resources import NUMBER, Resources, Shapes, Training
from sparse_model.config import TransformerConfig
from sparse_model.released.config import CHECKPOINT, CONFIG, TINYPYTHON, read_config
from sparse_model.released.files import circuit_files
from sparse_model.released.method import ReleasedSettings
from sparse_model.resources import forward_flops, model_size, parameters, store_bytes, validation_bytes


def chosen_circuits(config: ReleasedSettings) -> dict[str, Path]:
    """The files of the circuits of a model, by task; `ValueError` with the choices if they cannot be told."""
    return circuit_files(Path(config.circuits), config.folders) if config.circuits else {}


def tasks_with_circuits(config: ReleasedSettings) -> list[str]:
    """The tasks whose circuits come with a model; `ValueError` if no folder of circuits is named."""
    if not config.circuits:
        raise ValueError("released.circuits is missing; name the folder of the circuits by --set released.circuits=DIR")
    return sorted(chosen_circuits(config))


def corpus_settings(config: ReleasedSettings) -> dict[str, object]:
    """The settings of the corpus for a released model: its tokenizer, and at most as many positions as it has.

    Raises:
        ValueError: There is no such model, or its tokenizer is not there, is not known, or is that of another model.
    """
    model, tokenizer = read_config(Path(config.path)), config.tokenizer or config.path
    if model.tokenizer_name != TINYPYTHON and not (Path(tokenizer) / "tokenizer.json").is_file():
        raise ValueError(
            f"{Path(config.path) / CONFIG}: the tokenizer {model.tokenizer_name!r:.100} is not known; name a folder "
            "with its tokenizer.json by released.tokenizer"
        )
    if (tokens := read_given(tokenizer_file(tokenizer)).vocabulary) > model.vocab_size:
        raise ValueError(
            f"released.path {config.path!r} has {model.vocab_size:,} tokens, and tokenizer {tokenizer!r} {tokens:,}; "
            "choose the model's own by released.tokenizer"
        )
    return {"tokenizer": tokenizer, "context": model.block_size}


def digests(config: ReleasedSettings) -> dict[str, str]:
    """The digests of the files of a released model and of its circuits."""
    files = {name: Path(config.path) / name for name in (CONFIG, CHECKPOINT)}
    files |= {f"circuit {task}": file for task, file in chosen_circuits(config).items()}
    if config.means:
        files["means"] = Path(config.means)
    return {name: digest_of(file) for name, file in files.items()}


def resources(config: ReleasedSettings, shapes: Shapes) -> Resources:
    """What a released model takes, which is not trained; position embeddings that are added are not counted."""
    released = read_config(Path(config.path))
    shape = TransformerConfig(
        layers=released.n_layer,
        d_model=released.d_model,
        d_head=released.d_model // released.n_head,
        d_mlp=released.d_mlp,
        activation_density=released.afrac,
        positional="none" if released.d_pos_emb is None else "concatenated",
        d_positional=released.d_pos_emb or 1,
        sink=released.sink,
        bigram=released.enable_bigram_table,
        vocabulary=released.vocab_size,
        context=released.block_size,
    )
    size = NUMBER * parameters(shape)
    read = Training(
        parameters=parameters(shape),
        memory_bytes=max(COPIES * size, size + validation_bytes(shape)),
        store_bytes=store_bytes(shape, points=0),
        flops=config.validation_windows * shapes.context * forward_flops(shape),
    )
    return Resources(read, {"native": model_size(shape)})


COPIES = 3
"""Copies of the weights while they are read: as released, as float32 under our names, and in the model."""
