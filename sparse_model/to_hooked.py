"""Our transformer as a `HookedTransformer` of TransformerLens, with equal logits.

Weights are stored there as `[source, target]` and by head; norms, the scale of attention and the order of heads are the
same. Positions are always added to the embeddings there, so a model without any gets zeros.
"""

import warnings
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_model.transformer import Block, Transformer

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer


def to_hooked(model: Transformer) -> "HookedTransformer":
    """A copy of a transformer as a `HookedTransformer`, on the same device and in the same number type.

    Raises:
        ValueError: Names the part of the model that TransformerLens has no counterpart of.
    """
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    _check(model)
    config, embedding = model.config, model.W_E
    wide = torch.promote_types(embedding.dtype, torch.float32)
    shape = HookedTransformerConfig(
        n_layers=config.layers,
        d_model=config.d_model,
        n_heads=config.heads,
        d_head=config.d_head,
        d_mlp=config.neurons,
        d_vocab=config.vocabulary,
        n_ctx=config.context,
        act_fn="gelu",
        normalization_type="RMS",
        eps=torch.finfo(wide).eps,
        use_attention_sinks=config.sink,
        dtype=embedding.dtype,
        device=str(embedding.device),
        init_weights=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        hooked = HookedTransformer(shape)
    parameters = {name: parameter.detach() for name, parameter in _parameters(model).items()}
    assert parameters.keys() == dict(hooked.named_parameters()).keys()
    hooked.load_state_dict({**hooked.state_dict(), **parameters})
    return hooked.eval().requires_grad_(False)  # type: ignore[no-any-return]


def _check(model: Transformer) -> None:
    """Raise a `ValueError` that names the part of the model that has no counterpart."""
    config = model.config
    refused = {
        "AbsTopK at " + ", ".join(config.activation_sites): config.activation_density < 1 and config.activation_sites,
        "concatenated positions": config.positional == "concatenated",
        "a bigram table": config.bigram and model.bigram.any(),
    }
    for part, present in refused.items():
        if present:
            raise ValueError(f"a HookedTransformer has no counterpart of {part}")


def _parameters(model: Transformer) -> dict[str, Tensor]:
    """Every parameter of the `HookedTransformer`, by its name there."""
    found = {
        "embed.W_E": model.W_E,
        "pos_embed.W_pos": _positions(model),
        "ln_final.w": model.ln_final.weight,
        "unembed.W_U": model.W_U.T,
        "unembed.b_U": model.W_U.new_zeros(model.config.vocabulary),
    }
    for layer, block in enumerate(model.blocks):
        own = _of_block(block, model.config.heads, model.config.sink)
        found |= {f"blocks.{layer}.{name}": parameter for name, parameter in own.items()}
    return found


def _positions(model: Transformer) -> Float[Tensor, "position d_model"]:
    """The position embeddings; zeros if there are none."""
    if model.config.positional == "learned":
        return model.W_pos
    return model.W_E.new_zeros(model.config.context, model.config.d_model)


def _of_block(block: Block, heads: int, sink: bool) -> dict[str, Tensor]:
    """The parameters of a block."""
    found = {
        "ln1.w": block.ln1.weight,
        "ln2.w": block.ln2.weight,
        "attn.W_O": block.W_O.T.unflatten(0, (heads, -1)),
        "attn.b_O": block.b_O,
        "mlp.W_in": block.W_in.T,
        "mlp.b_in": block.b_in,
        "mlp.W_out": block.W_out.T,
        "mlp.b_out": block.b_out,
    }
    for letter in "QKV":
        weight, bias = getattr(block, f"W_{letter}"), getattr(block, f"b_{letter}")
        found[f"attn.W_{letter}"] = weight.unflatten(0, (heads, -1)).transpose(1, 2)
        found[f"attn.b_{letter}"] = bias.unflatten(0, (heads, -1))
    return found | ({"attn.sinks": block.sink} if sink else {})
