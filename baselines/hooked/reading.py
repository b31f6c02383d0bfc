"""Reads a model from somebody else's format into a `HookedTransformer`, within limits and without running its code."""

import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from baselines.hooked.folders import CONFIG, INDEX, WEIGHTS, OutsideModel, weight_files
from benchmark.files import check_finite, check_shapes, read_tensors, tensor_entries

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

NEUTRAL = "model"
"""The name of every folder that TransformerLens sees: it takes words in names, such as llama, for architectures."""

CHECKED_TOKENS = 16
"""Length of the sequence on which the logits of a converted model are compared with those of transformers."""

SAME = 1e-3
"""Largest difference between the two, as a share of the largest logit."""

HERE = {"device": "cpu", "dtype": torch.float32, "tokenizer_name": None, "seed": None, "init_weights": False}
"""Settings of a `HookedTransformer` that the benchmark chooses."""

TOLD = 300
"""Most characters of the message of a library that an error quotes."""


def read_model(model: OutsideModel, context: int) -> "HookedTransformer":
    """A model in float32, unfolded.

    Args:
        model: The model.
        context: The most positions that it has to have; those of rotary embeddings are not more.

    Raises:
        ValueError: It cannot be read or converted, in one line with what is wrong.
    """
    folder = fetched(model)
    with quiet():
        if model.is_hooked_transformer:
            return read_hooked_transformer(folder / WEIGHTS, model.config, context)
        return _of_hugging_face(model, folder, context)


def fetched(model: OutsideModel) -> Path:
    """The folder with all files of a model, fetched from the Hub if it is one of its models."""
    if not model.on_hub:
        return model.folder
    from huggingface_hub import snapshot_download

    patterns = [CONFIG, "*.safetensors", INDEX]
    return Path(snapshot_download(model.name, revision=model.folder.name, allow_patterns=patterns))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of TransformerLens that its next major release has other classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


# TransformerLens's format


def read_hooked_transformer(path: Path, config: Mapping[str, Any], context: int | None = None) -> "HookedTransformer":
    """A `HookedTransformer` from a safetensors file of its parameters and the fields of its configuration.

    Args:
        path: The file; buffers of the model in it are computed anew.
        config: The fields.
        context: As for `read_model`; `None` for what the configuration says.

    Raises:
        ValueError: A field is unknown or has another type, or the file has other tensors than the model.
    """
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    try:
        cfg: Any = HookedTransformerConfig(**{**config, **HERE})
        if context is not None and cfg.positional_embedding_type == "rotary":
            cfg.n_ctx = min(cfg.n_ctx, context)
        with torch.device("meta"):
            empty = HookedTransformer(cfg, move_to_device=False)
    except Exception as error:  # whatever fields of the wrong type or size raise
        raise ValueError(f"{path.parent}: not the configuration of a HookedTransformer: {_told(error)}") from error
    wanted = {name: tuple(each.shape) for name, each in empty.named_parameters()}
    buffers = {name for name, _ in empty.named_buffers()}
    found = {name: entry.shape for name, entry in tensor_entries(path).items() if name not in buffers}
    check_shapes(path, found, wanted)
    tensors = {name: each.float() for name, each in read_tensors(path).items() if name in wanted}
    check_finite(path, tensors)
    model = HookedTransformer(cfg, move_to_device=False)
    model.load_state_dict(tensors, strict=False)
    return model


def written_config(model: "HookedTransformer") -> str:
    """The configuration of a `HookedTransformer` as JSON."""
    fields = {name: value for name, value in model.cfg.to_dict().items() if name not in HERE}
    return json.dumps(fields, indent=1, sort_keys=True, default=str)


# Hugging Face's format


def _of_hugging_face(model: OutsideModel, folder: Path, context: int) -> "HookedTransformer":
    """A causal language model of Hugging Face, converted by TransformerLens and compared with the original."""
    from transformers import AutoModelForCausalLM

    for file in weight_files(model.name, folder):
        tensor_entries(file)
    try:
        original, loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
        _check_complete(loaded)
        converted = _converted(original.eval(), model.config, context)
    except Exception as error:  # whatever transformers and TransformerLens raise
        raise ValueError(f"hooked.model {model.name!r} cannot be converted: {_told(error)}") from error
    _check_same(model.name, original, converted)
    return converted


def _check_complete(loaded: Mapping[str, Any]) -> None:
    """`ValueError` if weights of a model are missing, which transformers would draw at random, or not part of it."""
    for fault, key in (("lacks", "missing_keys"), ("has unknown", "unexpected_keys")):
        if names := sorted(map(str, loaded[key])):
            raise ValueError(f"the file of weights {fault} {', '.join(names[:5])}{', …' * (len(names) > 5)}")


def _converted(original: Any, config: Mapping[str, Any], context: int) -> "HookedTransformer":
    from transformer_lens import HookedTransformer, loading_from_pretrained

    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        Path(NEUTRAL).mkdir()
        positions = {"n_ctx": config["n_positions"]} if "n_positions" in config else {}
        (Path(NEUTRAL) / CONFIG).write_text(json.dumps({**positions, **config}), encoding="utf-8")
        cfg = loading_from_pretrained.get_pretrained_model_config(NEUTRAL, hf_cfg=original.config.to_dict())
        if cfg.positional_embedding_type == "rotary":
            cfg.n_ctx = min(cfg.n_ctx, context)
        state: dict[str, Tensor] = loading_from_pretrained.get_pretrained_state_dict(NEUTRAL, cfg, original)
    for name, value in HERE.items():
        setattr(cfg, name, value)
    model = HookedTransformer(cfg, move_to_device=False)
    as_it_is = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
    model.load_and_process_state_dict(state, **dict.fromkeys(as_it_is, False))
    return model


@torch.no_grad()
def _check_same(name: str, original: Any, converted: "HookedTransformer") -> None:
    """`ValueError` if the logits of a converted model are not those of the original."""
    cfg: Any = converted.cfg
    tokens = torch.randint(
        original.config.vocab_size, (2, min(CHECKED_TOKENS, cfg.n_ctx)), generator=torch.Generator().manual_seed(0)
    )
    wanted, found = original(tokens).logits, converted(tokens)
    difference = float((wanted - found).abs().max() / wanted.abs().max().clamp(min=1e-6))
    if not difference <= SAME:
        raise ValueError(
            f"hooked.model {name!r}: TransformerLens {cfg.original_architecture} gives other logits than transformers, "
            f"by {difference:.2g} of the largest, so part of the architecture is not converted"
        )


def _told(error: Exception) -> str:
    """The message of an error of a library in one line of a sensible length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:TOLD]}"
