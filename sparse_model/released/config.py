"""The config of a checkpoint released with Gao et al. 2025, `beeg_config.json`. Imports no torch.

Some released configs contain keys that the released loader itself refuses. A key that determines the logits must have a
value that our transformer supports; the others are left, and those that the released code does not know are named.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.files import read_json
from benchmark.settings import PositiveShare, Size, validated

CONFIG, CHECKPOINT = "beeg_config.json", "final_model.pt"
"""The two files of a released model."""

TINYPYTHON = "tinypython_2k"
"""The tokenizer of the released models, whose pattern is that of this benchmark's own tokenizers."""

NO_LOGITS = (
    "debug_nans",
    "dropout",
    "dropout_cat_pos_emb",
    "enable_sparse_kernels",
    "flash",
    "grad_checkpointing",
    "learnable_bigram_table",
    "ln_bias",
    "n_mlp",
    "sinusoidal_cat_pos_emb",
)
"""Keys of the released code that do not change the logits of a trained model with RMS norms: they say how it was
trained or is computed, or which form embeddings have that are in the checkpoint. `n_mlp` is read as `d_mlp`."""


class ReleasedConfig(BaseModel):
    """The part of a released config that determines the logits, with the released code's defaults for `null`."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    n_layer: int = Field(ge=1, le=1000)
    n_head: Size
    d_model: Size
    vocab_size: Size
    block_size: Size
    rms_norm: Literal[True]
    activation_type: Literal["gelu"] = "gelu"
    residual_activation_type: Literal["identity"] = "identity"
    d_head: Size | None = None
    d_mlp: Size | None = None
    d_pos_emb: Size | None = None
    afrac: PositiveShare = 1.0
    afrac_loctypes: str = "attn_in,attn_out,mlp_in,mlp_out"
    bias: bool = True
    sink: bool = False
    enable_bigram_table: bool = False
    tied_unembed: bool | None = None
    use_tied_aux_matrix: Literal[False] = False
    afrac_approx: Literal[False] = False
    tokenizer_name: str = TINYPYTHON


def read_config(folder: Path) -> ReleasedConfig:
    """The config in a folder; `ValueError` in one line if it is missing or not supported."""
    return released_config(read_json(folder / CONFIG), str(folder / CONFIG))


def released_config(content: Mapping[str, Any], name: str = CONFIG) -> ReleasedConfig:
    """A released config from its JSON; `ValueError` in one line if it is not supported."""
    stated = {key: value for key, value in content.items() if value is not None}
    settings = validated(ReleasedConfig, {"d_mlp": stated.get("n_mlp"), **stated}, name)
    if settings.d_model % settings.n_head:
        raise ValueError(f"{name}: d_model {settings.d_model} is not a multiple of n_head {settings.n_head}")
    return settings


def unknown_keys(content: Mapping[str, Any]) -> list[str]:
    """The keys of a released config that the released code does not know, and that are left unread."""
    known = {*ReleasedConfig.model_fields, *NO_LOGITS}
    return [key for key, value in content.items() if key not in known and value is not None]
