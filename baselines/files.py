"""The files of a trained dictionary: a folder as sae-lens writes it for each hook point, and the mean errors."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from baselines.dictionary import Dictionary, Encoder
from sparse_model.checkpoint import read_json, read_tensors, readable

WEIGHTS, SETTINGS, MEAN_ERROR = "sae_weights.safetensors", "cfg.json", "mean_error.safetensors"


def load_dictionary(folder: Path, hook_points: Iterable[str]) -> Dictionary:
    """Read what sae-lens has saved for each hook point, without importing it; every decoder writes to its own layer.

    Raises:
        ValueError: For a damaged file, or an architecture that the dictionaries here do not have.
    """
    encoders, decoders, biases = zip(*(_load_layer(folder / name) for name in hook_points), strict=True)
    return Dictionary(encoders, [[decoder] for decoder in decoders], biases)


def _load_layer(folder: Path) -> tuple[Encoder, Tensor, Tensor]:
    """Encoder, decoder and bias of one layer."""
    settings, weights = read_json(folder / SETTINGS), read_tensors(folder / WEIGHTS)
    architecture = settings.get("architecture")
    with readable(folder / WEIGHTS, "dictionary"):
        bias = weights["b_enc"]
        if settings["apply_b_dec_to_input"]:
            bias = bias - weights["b_dec"] @ weights["W_enc"]
        encoder, decoder = weights["W_enc"].T.contiguous(), weights["W_dec"].T.contiguous()
        if architecture == "topk":
            return Encoder(encoder, bias, k=settings["k"]), decoder, weights["b_dec"]
        if architecture in ("jumprelu", "jumprelu_transcoder"):
            return Encoder(encoder, bias, threshold=weights["threshold"]), decoder, weights["b_dec"]
    raise ValueError(
        f"unknown architecture {architecture!r} in {folder}; choose from topk, jumprelu, jumprelu_transcoder"
    )


def save_top_k(
    encoder: Encoder, decoder: Float[Tensor, "channel feature"], bias: Float[Tensor, " channel"], folder: Path
) -> None:
    """Write a TopK SAE as sae-lens does."""
    assert encoder.k is not None, "only TopK"
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"W_enc": encoder.weight.T.contiguous(), "b_enc": encoder.bias, "W_dec": decoder.T.contiguous()}
    save_file({name: weight.detach() for name, weight in {**weights, "b_dec": bias}.items()}, folder / WEIGHTS)
    settings = {
        "architecture": "topk",
        "d_in": encoder.weight.shape[1],
        "d_sae": encoder.weight.shape[0],
        "k": encoder.k,
        "rescale_acts_by_decoder_norm": False,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {},
    }
    (folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")


def save_mean_errors(errors: Sequence[Float[Tensor, " channel"]], folder: Path) -> None:
    """Write the ablation values of the errors, layer by layer."""
    save_file({f"blocks.{layer}": error for layer, error in enumerate(errors)}, folder / MEAN_ERROR)


def load_mean_errors(folder: Path) -> list[Float[Tensor, " channel"]]:
    """Read the ablation values of the errors, layer by layer."""
    errors = read_tensors(folder / MEAN_ERROR)
    return [errors[f"blocks.{layer}"] for layer in range(len(errors))]
