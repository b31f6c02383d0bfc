"""The checkpoints released with Gao et al. 2025, read into our transformer: `beeg_config.json` and `final_model.pt`.

The format is that of https://github.com/openai/circuit_sparsity, circuit_sparsity/inference/gpt.py. Some released
configs hold keys that its own loader refuses; here every key that does not change the logits is ignored, and the others
must have a value that this transformer can follow.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparse_model.config import Positional, TransformerConfig
from sparse_model.transformer import Transformer

Json = Mapping[str, Any]

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
"""Our names of the released code's places for AbsTopK."""

SUPPORTED: dict[str, tuple[Any, ...]] = {
    "rms_norm": (True,),
    "activation_type": ("gelu",),
    "residual_activation_type": ("identity",),
}
"""Settings of the released code that this transformer has in one form only."""

DEFAULTS = {"rms_norm": False, "activation_type": "gelu", "residual_activation_type": "identity"}
"""What the released code takes where a config leaves them out."""


def load_released(folder: Path) -> Transformer:
    """A released checkpoint, ready for circuits: in evaluation mode, without gradients.

    Args:
        folder: Holds `beeg_config.json` and `final_model.pt`.

    Raises:
        ValueError: For a model that this transformer cannot follow, with the setting and the choices.
    """
    settings = json.loads((folder / "beeg_config.json").read_text(encoding="utf-8"))
    released = torch.load(folder / "final_model.pt", map_location="cpu", weights_only=True)
    weights = {name: tensor.float() for name, tensor in released.items() if tensor.is_floating_point()}
    config = config_of(settings, weights)
    model = Transformer(config)
    model.load_state_dict(parameters_of(weights, config))
    model.eval().requires_grad_(False)
    return model


def config_of(settings: Json, weights: Mapping[str, Tensor]) -> TransformerConfig:
    """Our config of a released one; what it leaves out has the released code's default."""
    for name, choices in SUPPORTED.items():
        value = settings.get(name, DEFAULTS[name])
        if value not in choices:
            raise ValueError(f"{name} {value!r} of a released config is unknown; choose from {choices}")
    heads, d_model = settings["n_head"], settings["d_model"]
    d_head = settings.get("d_head") or d_model // heads
    if heads * d_head != d_model:
        raise ValueError(
            f"{heads} heads of {d_head} channels do not fill d_model {d_model}; choose {d_model // d_head}"
        )
    density = settings.get("afrac")
    return TransformerConfig(
        layers=settings["n_layer"],
        d_model=d_model,
        d_head=d_head,
        d_mlp=settings.get("d_mlp") or settings.get("n_mlp"),
        activation_density=1.0 if density is None else density,
        activation_sites=_activation_sites(settings.get("afrac_loctypes", "attn_in,attn_out,mlp_in,mlp_out")),
        positional=_positional(settings, weights),
        d_positional=settings.get("d_pos_emb") or 1,
        sink=settings.get("sink", False),
        bigram=bool(settings.get("enable_bigram_table", False)) or _logit_bias(weights) is not None,
        vocabulary=settings["vocab_size"],
        context=settings["block_size"],
    )


def parameters_of(weights: Mapping[str, Tensor], config: TransformerConfig) -> dict[str, Tensor]:
    """Our parameters of the released ones."""
    parameters = {
        "W_E": weights["transformer.wte.weight"],
        "W_U": weights["lm_head.weight"],
        "ln_final.weight": weights["transformer.ln_f.weight"],
    }
    if config.positional != "none":
        parameters["W_pos"] = weights["transformer.wpe.weight"]
    if config.bigram:
        parameters["bigram"] = _bigram(weights, config)
    for layer in range(config.layers):
        block = _block(weights, f"transformer.h.{layer}.", config)
        parameters |= {f"blocks.{layer}.{name}": tensor for name, tensor in block.items()}
    return parameters


def _block(weights: Mapping[str, Tensor], at: str, config: TransformerConfig) -> dict[str, Tensor]:
    """Our parameters of one block."""
    block = {"ln1.weight": weights[f"{at}ln_1.weight"], "ln2.weight": weights[f"{at}ln_2.weight"]}
    queries_keys_values = zip("QKV", *(each.chunk(3) for each in _linear(weights, f"{at}attn.c_attn")), strict=True)
    for name, weight, bias in queries_keys_values:
        block |= {f"W_{name}": weight, f"b_{name}": bias}
    block["W_O"], block["b_O"] = _linear(weights, f"{at}attn.c_proj")
    block["W_in"], block["b_in"] = _linear(weights, f"{at}mlp.c_fc")
    block["W_out"], block["b_out"] = _linear(weights, f"{at}mlp.c_proj")
    if config.sink:
        block["sink"] = weights[f"{at}attn.attn_imp.sink_logit"]
    if config.positional == "concatenated":
        block["ln1_pos.weight"], block["ln2_pos.weight"] = weights[f"{at}ln_p1.weight"], weights[f"{at}ln_p2.weight"]
    return block


def _linear(weights: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """The weight `[target, source]` and the bias of a linear map; a bias that does not exist is zero."""
    weight = weights[f"{name}.weight"]
    return weight, weights.get(f"{name}.bias", weight.new_zeros(len(weight)))


def _activation_sites(locations: str) -> tuple[str, ...]:
    """Our sites of a list of places, separated by commas."""
    for location in locations.split(","):
        if location not in HOOK_OF_LOCATION:
            raise ValueError(f"unknown place {location!r} of AbsTopK; choose from {', '.join(HOOK_OF_LOCATION)}")
    return tuple(hook for location, hook in HOOK_OF_LOCATION.items() if location in locations.split(","))


def _positional(settings: Json, weights: Mapping[str, Tensor]) -> Positional:
    """Which position embeddings a model has: those that it adds count only if they are not zero."""
    if settings.get("d_pos_emb") is not None:
        return "concatenated"
    return "learned" if weights["transformer.wpe.weight"].any() else "none"


def _logit_bias(weights: Mapping[str, Tensor]) -> Tensor | None:
    """The constant added to the logits, if there is one."""
    bias = weights.get("final_logits_bias")
    return bias if bias is not None and bias.any() else None


def _bigram(weights: Mapping[str, Tensor], config: TransformerConfig) -> Tensor:
    """The bigram table, with the constant added to the logits in every row."""
    table, bias = weights.get("bigram_table"), _logit_bias(weights)
    if table is None:
        table = torch.zeros(config.vocabulary, config.vocabulary)
    return table if bias is None else table + bias
