"""Loads the checkpoints released with Gao et al. 2025 into our transformer: `beeg_config.json` and `final_model.pt`.

The format is that of https://github.com/openai/circuit_sparsity, circuit_sparsity/inference/gpt.py.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmark.files import MIB, CorruptFileError, check_finite, check_shapes
from benchmark.settings import validated
from sparse_model.config import Positional, TransformerConfig
from sparse_model.pytorch_file import read_state_dict
from sparse_model.released.config import CHECKPOINT, ReleasedConfig, read_config
from sparse_model.transformer import Transformer, with_parameters

HOOK_OF_LOCATION = {
    "attn_in": "attn_in",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_out": "attn_out",
    "mlp_in": "mlp_in",
    "mlp_neuron": "neuron",
    "mlp_out": "mlp_out",
}
"""Our names for the hook points at which the released code applies AbsTopK."""

NAME_IN_BLOCK = {
    "ln_1.weight": "ln1.weight",
    "ln_2.weight": "ln2.weight",
    "ln_p1.weight": "ln1_pos.weight",
    "ln_p2.weight": "ln2_pos.weight",
    "attn.attn_imp.sink_logit": "sink",
}
"""Our names for the parameters of a block that are taken unchanged."""

MATRICES_IN_BLOCK = {"attn.c_attn": "QKV", "attn.c_proj": "O", "mlp.c_fc": ("in",), "mlp.c_proj": ("out",)}
"""Our matrices in each released linear map of a block, which stacks their rows."""


def load_released(folder: Path) -> Transformer:
    """The released checkpoint in a folder, in evaluation mode and without gradients.

    Raises:
        ValueError: One line with the file and the remedy, for a file that is missing, damaged or not a checkpoint, and
            for a model that this transformer does not support.
    """
    path, settings = folder / CHECKPOINT, read_config(folder)
    shapes = shapes_of(settings)
    weights = tied(read_weights(path, most_bytes(settings, shapes)), settings, path)
    if "final_logits_bias" not in weights:
        del shapes["final_logits_bias"]
    check_shapes(path, {name: tensor.shape for name, tensor in weights.items()}, shapes)
    weights = {name: tensor.float() for name, tensor in weights.items()}
    check_finite(path, weights)
    config = config_of(settings, weights)
    return with_parameters(config, parameters_of(weights, config), path)


def most_bytes(settings: ReleasedConfig, shapes: Mapping[str, Sequence[int]]) -> int:
    """The most bytes that a checkpoint of a config may have: float64, everything twice, masks of the attention."""
    masks = settings.n_layer * settings.block_size**2 * 8
    return sum(math.prod(shape) for shape in shapes.values()) * 16 + masks + 16 * MIB


def read_weights(path: Path, largest: int) -> dict[str, Tensor]:
    """The weights of a checkpoint of at most so many bytes, without the prefixes of `torch.compile`."""
    released = read_state_dict(path, largest)
    weights = {name.replace("_orig_mod.", ""): value for name, value in released.items()}
    if len(weights) < len(released):
        told = "contains the same weights with and without the prefix _orig_mod.; remove one of them"
        raise CorruptFileError(path, told)
    return {name: value for name, value in weights.items() if not name.endswith(".attn.bias")}  # the causal mask


def tied(weights: dict[str, Tensor], settings: ReleasedConfig, path: Path) -> dict[str, Tensor]:
    """The weights with both embeddings, if the config ties them or does not say whether they are tied."""
    read, written = weights.get("transformer.wte.weight"), weights.get("lm_head.weight")
    if settings.tied_unembed is False or (read is None and written is None):
        return weights
    if read is not None and written is not None:
        if settings.tied_unembed and not torch.equal(read, written):
            names = "transformer.wte.weight and lm_head.weight"
            raise CorruptFileError(path, f"contains {names} that differ, but its config has tied_unembed true")
        return weights
    either = written if read is None else read
    assert either is not None
    return {**weights, "transformer.wte.weight": either, "lm_head.weight": either}


def shapes_of(settings: ReleasedConfig) -> dict[str, Sequence[int]]:
    """The shape of every weight of a released model, by name."""
    d_model, vocabulary, positions = settings.d_model, settings.vocab_size, settings.d_pos_emb or 0
    d_mlp = settings.d_mlp or 4 * d_model
    shapes: dict[str, Sequence[int]] = {
        "transformer.wte.weight": [vocabulary, d_model],
        "transformer.wpe.weight": [settings.block_size, positions or d_model],
        "transformer.ln_f.weight": [d_model],
        "lm_head.weight": [vocabulary, d_model],
        "final_logits_bias": [vocabulary],
    }
    if settings.enable_bigram_table:
        shapes["bigram_table"] = [vocabulary, vocabulary]
    for layer in range(settings.n_layer):
        at = f"transformer.h.{layer}."
        shapes |= {f"{at}ln_{number}.weight": [d_model] for number in (1, 2)}
        if positions:
            shapes |= {f"{at}ln_p{number}.weight": [positions] for number in (1, 2)}
        if settings.sink:
            shapes[f"{at}attn.attn_imp.sink_logit"] = [settings.n_head]
        for name, target, source in (
            ("attn.c_attn", 3 * d_model, d_model + positions),
            ("attn.c_proj", d_model, d_model),
            ("mlp.c_fc", d_mlp, d_model + positions),
            ("mlp.c_proj", d_model, d_mlp),
        ):
            shapes[f"{at}{name}.weight"] = [target, source]
            if settings.bias:
                shapes[f"{at}{name}.bias"] = [target]
    return shapes


def config_of(settings: ReleasedConfig, weights: Mapping[str, Tensor]) -> TransformerConfig:
    """Our config for a released one; position embeddings that are added and logit biases count only if nonzero."""
    d_head = settings.d_head or settings.d_model // settings.n_head
    if settings.n_head * d_head != settings.d_model:
        filled = f"{settings.n_head} heads of {d_head} channels do not fill d_model {settings.d_model}"
        raise ValueError(f"{filled}; choose {settings.d_model // d_head}")
    locations = settings.afrac_loctypes.split(",")
    for location in locations:
        if location not in HOOK_OF_LOCATION:
            raise ValueError(f"unknown AbsTopK location {location!r}; choose from {', '.join(HOOK_OF_LOCATION)}")
    positional: Positional = "concatenated"
    if settings.d_pos_emb is None:
        positional = "learned" if weights["transformer.wpe.weight"].any() else "none"
    ours = {
        "layers": settings.n_layer,
        "d_model": settings.d_model,
        "d_head": d_head,
        "d_mlp": settings.d_mlp,
        "activation_density": settings.afrac,
        "activation_sites": tuple(hook for location, hook in HOOK_OF_LOCATION.items() if location in locations),
        "positional": positional,
        "d_positional": settings.d_pos_emb or 1,
        "sink": settings.sink,
        "bigram": settings.enable_bigram_table or _logit_bias(weights) is not None,
        "vocabulary": settings.vocab_size,
        "context": settings.block_size,
    }
    return validated(TransformerConfig, ours, "beeg_config.json")


def parameters_of(weights: Mapping[str, Tensor], config: TransformerConfig) -> dict[str, Tensor]:
    """Our parameters for the released ones; missing biases are zero, and logit biases go into the bigram table."""
    parameters = {
        "W_E": weights["transformer.wte.weight"],
        "W_U": weights["lm_head.weight"],
        "ln_final.weight": weights["transformer.ln_f.weight"],
    }
    if config.positional != "none":
        parameters["W_pos"] = weights["transformer.wpe.weight"]
    if config.bigram:
        table, bias = weights.get("bigram_table"), _logit_bias(weights)
        table = torch.zeros(config.vocabulary, config.vocabulary) if table is None else table
        parameters["bigram"] = table if bias is None else table + bias
    for layer in range(config.layers):
        block, at = f"blocks.{layer}.", f"transformer.h.{layer}."
        for theirs, ours in NAME_IN_BLOCK.items():
            if f"{at}{theirs}" in weights:
                parameters[f"{block}{ours}"] = weights[f"{at}{theirs}"]
        for theirs, names in MATRICES_IN_BLOCK.items():
            weight = weights[f"{at}{theirs}.weight"]
            bias = weights.get(f"{at}{theirs}.bias", weight.new_zeros(len(weight)))
            for name, rows, offsets in zip(names, weight.chunk(len(names)), bias.chunk(len(names)), strict=True):
                parameters |= {f"{block}W_{name}": rows, f"{block}b_{name}": offsets}
    return parameters


def _logit_bias(weights: Mapping[str, Tensor]) -> Tensor | None:
    """The bias added to the logits, if it is not zero."""
    bias = weights.get("final_logits_bias")
    return bias if bias is not None and bias.any() else None
