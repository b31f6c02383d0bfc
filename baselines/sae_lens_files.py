"""Reads dictionaries in the format of sae-lens (https://github.com/decoderesearch/SAELens) without importing it.

Every field of a configuration is honoured or refused by name. What is linear is folded into the weights in double
precision, so that each class becomes one `Encoder` and a decoder:

- ReLU (`standard`, `transcoder`) is JumpReLU with thresholds of zero.
- A gated feature (Rajamanoharan et al. 2024, arXiv 2404.16014) has the gate w.x + b_gate > 0 and the magnitude
  m = exp(r_mag) w.x + b_mag, so it is JumpReLU on m with the threshold b_mag - exp(r_mag) b_gate.
- With `rescale_acts_by_decoder_norm`, encoders are multiplied by their decoders' norms, and decoders divided by them.
- A skip connection becomes linear features, one per channel that it writes to: nodes do what it computes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from baselines.dictionary import Encoder
from baselines.file_names import SETTINGS, WEIGHTS
from benchmark.files import CorruptFileError, check_finite, read_json, read_tensors, readable
from benchmark.settings import Settings, validated

SAE = Literal["standard", "gated", "topk", "abstopk", "jumprelu"]
Transcoder = Literal["transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"]

SAES: tuple[str, ...] = get_args(SAE)
TRANSCODERS: tuple[str, ...] = get_args(Transcoder)

IN_TRAINING = "which sae-lens saves only in the middle of training; save it with save_inference_model"

REFUSED = {
    "batchtopk": IN_TRAINING,
    "matryoshka_batchtopk": IN_TRAINING,
    "matching_pursuit": "whose features depend on each other, so that they are not one linear map and a threshold",
    "temporal": "whose features depend on earlier positions",
}
"""Architectures that cannot be read, and why."""

ONLY_FOR_TRAINING = frozenset(
    [
        *("decoder_init_norm", "l1_coefficient", "lp_norm", "l1_warm_up_steps", "use_sparse_activations"),
        *("aux_loss_coefficient", "jumprelu_init_threshold", "jumprelu_bandwidth", "jumprelu_sparsity_loss_mode"),
        *("l0_coefficient", "l0_warm_up_steps", "pre_act_loss_coefficient", "jumprelu_tanh_scale"),
        *("jumprelu_ste_to_input", "target_l0"),
    ]
)
"""Fields of sae-lens's training classes that no output depends on."""

OLD = frozenset(["activation_fn", "activation_fn_str", "activation_fn_kwargs", "hook_name", "hook_point"])
"""Fields of configurations of sae-lens before version 6."""

Width = Annotated[int, Field(ge=1, le=10**8)]
"""A number of channels or features."""

DType = Literal["float32", "bfloat16", "float16", "float64"]


class SavedSettings(Settings):
    """The fields of a configuration that outputs depend on, with the defaults of sae-lens."""

    architecture: SAE | Transcoder
    d_in: Width
    d_sae: Width
    d_out: Width | None = None
    k: Width | None = None
    rescale_acts_by_decoder_norm: bool = False
    dtype: DType = "float32"
    """The type that sae-lens computes in; here weights are rounded to it, and products are in float32."""
    device: str = Field("cpu", max_length=100)
    """Where it was; the model decides where it will be."""
    apply_b_dec_to_input: bool = True
    normalize_activations: Literal["none", "expected_average_only_in", "constant_norm_rescale", "layer_norm"] = "none"
    """sae-lens computes with `expected_average_only_in` as with `none`: its factor is not in the folder."""
    reshape_activations: Literal["none"] = "none"
    metadata: dict[str, Any] = Field(default_factory=dict, max_length=1000)

    @property
    def is_transcoder(self) -> bool:
        """Whether it predicts something else than its input."""
        return self.architecture in TRANSCODERS

    @property
    def width_out(self) -> int:
        """Channels of the prediction."""
        return self.d_in if self.d_out is None else self.d_out

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor that it has."""
        found = {"W_enc": (self.d_in, self.d_sae), "W_dec": (self.d_sae, self.width_out), "b_dec": (self.width_out,)}
        per_feature = {"gated": ("b_gate", "b_mag", "r_mag")}.get(self.architecture, ("b_enc",))
        if self.architecture.startswith("jumprelu"):
            per_feature = (*per_feature, "threshold")
        found |= dict.fromkeys(per_feature, (self.d_sae,))
        return found | ({"W_skip": (self.width_out, self.d_in)} if "skip" in self.architecture else {})


@dataclass(frozen=True, eq=False)
class SavedLayer:
    """A dictionary of one layer as it was saved.

    Attributes:
        encoder: Reads a row.
        decoder: `[channel, feature]`.
        bias: `[channel]`.
        is_transcoder: Whether it predicts something else than its input.
        reads: The hook point that it was trained to read, as its file names it; `None` if it does not say.
        predicts: The hook point that it predicts, likewise; for SAEs that which they read.
    """

    encoder: Encoder
    decoder: Tensor
    bias: Tensor
    is_transcoder: bool
    reads: str | None
    predicts: str | None


def read_layer(folder: Path) -> SavedLayer:
    """The dictionary in a folder of sae-lens.

    Raises:
        CorruptFileError: For a damaged file, or one line that names what is not supported.
    """
    settings = read_saved_settings(folder / SETTINGS)
    path = folder / WEIGHTS
    stored = read_tensors(path, settings.shapes())
    with readable(path, "dictionary"):
        if others := sorted({str(each.dtype) for each in stored.values() if not each.is_floating_point()}):
            raise ValueError(f"weights of the type {others[0]}")
        typed = {name: each.to(getattr(torch, settings.dtype)).double() for name, each in stored.items()}
        check_finite(path, typed)
        encoder, decoder, bias = folded(settings, typed)
        parts = {"W_enc": encoder.weight, "b_enc": encoder.bias, "W_dec": decoder, "threshold": encoder.threshold}
    check_finite(path, {f"{name} as it is used": each for name, each in parts.items()})
    reads = _hook(folder / SETTINGS, settings, "hook_name")
    predicts = _hook(folder / SETTINGS, settings, "hook_name_out") or (None if settings.is_transcoder else reads)
    return SavedLayer(encoder, decoder, bias, settings.is_transcoder, reads, predicts)


def read_saved_settings(path: Path) -> SavedSettings:
    """The settings in a configuration; `CorruptFileError` names what is not supported."""
    content = read_json(path)
    if old := sorted(OLD & content.keys()):
        told = f"has the field {old[0]!r} of sae-lens before version 6; load it there and save it again"
        raise CorruptFileError(path, told)
    architecture = content.get("architecture")
    if architecture not in (*SAES, *TRANSCODERS):
        choices = ", ".join((*SAES, *TRANSCODERS))
        if reason := REFUSED.get(architecture) if isinstance(architecture, str) else None:
            raise CorruptFileError(path, f"has the architecture {architecture!r}, {reason}; choose from {choices}")
        raise CorruptFileError(path, f"has the unknown architecture {architecture!r}; choose from {choices}")
    used = {name: value for name, value in content.items() if name not in ONLY_FOR_TRAINING}
    try:
        settings = validated(SavedSettings, used, "its settings")
        _check_settings(settings)
    except ValueError as error:
        raise CorruptFileError(path, f"cannot be used: {error}") from error
    return settings


def _check_settings(settings: SavedSettings) -> None:
    """`ValueError` for fields that do not go together."""
    takes_k = settings.architecture in ("topk", "abstopk")
    if takes_k and not (settings.k is not None and settings.k <= settings.d_sae):
        raise ValueError(f"k is {settings.k}; choose 1 to {settings.d_sae}")
    if not takes_k and (settings.k is not None or settings.rescale_acts_by_decoder_norm):
        field = "rescale_acts_by_decoder_norm" if settings.k is None else "k"
        raise ValueError(f"{field} is for topk and abstopk, not for {settings.architecture}")
    if settings.is_transcoder and settings.d_out is None:
        raise ValueError(f"d_out is missing, which a {settings.architecture} has")
    if not settings.is_transcoder and settings.width_out != settings.d_in:
        raise ValueError(f"d_out is {settings.d_out}, and the input has {settings.d_in} channels")
    if settings.is_transcoder and settings.apply_b_dec_to_input:
        raise ValueError("apply_b_dec_to_input is true, which sae-lens does not allow for transcoders")
    for name in ("hook_head_index", "hook_head_index_out"):
        if settings.metadata.get(name) is not None:
            raise ValueError(f"{name} is {settings.metadata[name]!r}: single heads are not supported, only whole rows")


def _hook(path: Path, settings: SavedSettings, name: str) -> str | None:
    """The hook point that a configuration names; `CorruptFileError` if its layer is said to be another."""
    hook = settings.metadata.get(name)
    if hook is not None and not (isinstance(hook, str) and hook.isprintable()):
        raise CorruptFileError(path, f"has the {name} {hook!r}, which is not a name")
    layer = settings.metadata.get(name.replace("hook_name", "hook_layer"))
    if hook and layer is not None and f".{layer}." not in f".{hook}.":
        raise CorruptFileError(path, f"has the {name} {hook!r} and the layer {layer!r}, which contradict each other")
    return hook or None


def folded(settings: SavedSettings, weights: dict[str, Tensor]) -> tuple[Encoder, Tensor, Tensor]:
    """Encoder, decoder `[channel, feature]` and bias in float32, from weights in double precision.

    Raises:
        ValueError: A decoder is zero where its norm is divided by.
    """
    encoder, decoder, kind = weights["W_enc"].T, weights["W_dec"], settings.architecture
    bias, threshold = weights["b_mag" if kind == "gated" else "b_enc"], weights.get("threshold")
    if kind == "gated":
        scale = weights["r_mag"].exp()
        encoder, threshold = encoder * scale[:, None], bias - scale * weights["b_gate"]
    if settings.rescale_acts_by_decoder_norm:
        norms = decoder.norm(dim=1)
        if not norms.all():
            raise ValueError("rescale_acts_by_decoder_norm, and decoders that are zero")
        encoder, bias, decoder = encoder * norms[:, None], bias * norms, decoder / norms[:, None]
    if settings.apply_b_dec_to_input:
        bias = bias - encoder @ weights["b_dec"]
    rows = "none" if settings.normalize_activations == "expected_average_only_in" else settings.normalize_activations
    if rows == "layer_norm":  # rows are centred before they are scaled
        encoder = encoder - encoder.mean(1, keepdim=True)
    if threshold is None and settings.k is None:
        threshold = torch.zeros_like(bias)
    if (skip := weights.get("W_skip")) is not None:
        encoder, decoder, bias = with_skip(encoder, decoder, bias, skip)
    made = Encoder(
        encoder.float().contiguous(),
        bias.float(),
        k=settings.k,
        threshold=None if threshold is None else threshold.float(),
        negative="by_size" if kind == "abstopk" else "zeroed",
        linear=0 if skip is None else len(skip),
        rows=rows,
    )
    return made, decoder.float().T.contiguous(), weights["b_dec"].float()


def with_skip(encoder: Tensor, decoder: Tensor, bias: Tensor, skip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Encoder `[feature, d_in]`, decoder `[feature, d_out]` and bias, with a skip `[d_out, d_in]` as more features."""
    more = torch.eye(len(skip)).to(decoder)
    return torch.cat([encoder, skip]), torch.cat([decoder, more]), torch.cat([bias, bias.new_zeros(len(skip))])
