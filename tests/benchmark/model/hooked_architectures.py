"""Tiny random TransformerLens models, one for every way in which their parts are usually combined."""

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

VOCABULARY = 50

LLAMA = {"normalization_type": "RMS", "positional_embedding_type": "rotary", "gated_mlp": True, "act_fn": "silu"}
SHARED = {"n_heads": 4, "d_head": 4, "n_key_value_heads": 2}
LOCAL = {"use_local_attn": True, "window_size": 3, "attn_types": ["global", "local"]}

ARCHITECTURES = {
    "layer norms": {"normalization_type": "LN"},
    "folded layer norms": {"normalization_type": "LNPre", "act_fn": "gelu_new"},
    "RMS norms": {"normalization_type": "RMS"},
    "folded RMS norms, rotary": {"normalization_type": "RMSPre", "positional_embedding_type": "rotary"},
    "no norms": {"normalization_type": None, "act_fn": "relu"},
    "attention only": {"normalization_type": "LN", "attn_only": True, "act_fn": None},
    "gated, keys shared by heads": LLAMA | SHARED,
    "gated, one key head, queries normalised": LLAMA | SHARED | {"n_key_value_heads": 1, "use_qk_norm": True},
    "shared keys computed for each head": LLAMA | SHARED | {"ungroup_grouped_query_attention": True},
    "parallel, rotary in part": {
        "normalization_type": "LN",
        "parallel_attn_mlp": True,
        "positional_embedding_type": "rotary",
        "rotary_dim": 2,
    },
    "norms before and after, capped, local": LLAMA
    | SHARED
    | LOCAL
    | {"use_normalization_before_and_after": True, "attn_scores_soft_cap": 5.0, "output_logits_soft_cap": 3.0},
    "norms after": LLAMA | {"original_architecture": "Olmo2ForCausalLM"},
    "a sink, clipped, scaled by layer": {
        "normalization_type": "RMS",
        "use_attention_sinks": True,
        "clip_qkv": 0.7,
        "scale_attn_by_inverse_layer_idx": True,
    },
    "alibi, normalised embeddings": {
        "normalization_type": "LN",
        "positional_embedding_type": "alibi",
        "post_embedding_ln": True,
    },
    "shortformer, SoLU": {"normalization_type": "LN", "positional_embedding_type": "shortformer", "act_fn": "solu_ln"},
    "final RMS norm, other outputs": {"normalization_type": "LN", "final_rms": True, "d_vocab_out": 7},
}


def hooked_transformer(dtype=torch.float32, layers=2, **changes):
    """A tiny model with every parameter random, gains and biases too."""
    shape = {"n_layers": layers, "d_model": 12, "n_heads": 3, "d_head": 4, "n_ctx": 16, "d_vocab": VOCABULARY}
    config = HookedTransformerConfig(**{**shape, "act_fn": "gelu", "d_mlp": 20, "dtype": dtype, **changes})
    model, generator = HookedTransformer(config), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(1 + 0.3 * values if name.endswith(".w") else 0.4 * values)
    return model
