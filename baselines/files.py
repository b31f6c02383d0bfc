"""The files of a trained dictionary: sae-lens's folders, one a place, and the mean errors."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from baselines.dictionary import Encoder, Place
from sparse_model.checkpoint import read_json, read_tensors, readable

WEIGHTS, SETTINGS, MEAN_ERROR = "sae_weights.safetensors", "cfg.json", "mean_error.safetensors"


def load_place(folder: Path) -> Place:
    """Read what sae-lens has saved, without importing it.

    Raises:
        ValueError: For an architecture that the dictionaries here do not have.
    """
    settings, weights = read_json(folder / SETTINGS), read_tensors(folder / WEIGHTS)
    architecture = settings.get("architecture")
    with readable(folder / WEIGHTS, "dictionary"):
        bias = weights["b_enc"]
        if settings["apply_b_dec_to_input"]:
            bias = bias - weights["b_dec"] @ weights["W_enc"]
        encoder, decoder = weights["W_enc"].T.contiguous(), weights["W_dec"].T.contiguous()
        if architecture == "topk":
            return Place(Encoder(encoder, bias, k=settings["k"]), decoder, weights["b_dec"])
        if architecture in ("jumprelu", "jumprelu_transcoder"):
            return Place(Encoder(encoder, bias, threshold=weights["threshold"]), decoder, weights["b_dec"])
    raise ValueError(
        f"unknown architecture {architecture!r} in {folder}; choose from topk, jumprelu, jumprelu_transcoder"
    )


def load_places(folder: Path, names: Iterable[str]) -> list[Place]:
    """Read the dictionaries of some places, each from the folder of its name."""
    return [load_place(folder / name) for name in names]


def save_top_k_place(place: Place, folder: Path) -> None:
    """Write a TopK SAE as sae-lens does."""
    assert place.encoder.k is not None, "only TopK"
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        "W_enc": place.encoder.weight.T.contiguous(),
        "b_enc": place.encoder.bias,
        "W_dec": place.decoder.T.contiguous(),
        "b_dec": place.bias,
    }
    save_file({name: weight.detach() for name, weight in weights.items()}, folder / WEIGHTS)
    settings = {
        "architecture": "topk",
        "d_in": place.encoder.weight.shape[1],
        "d_sae": place.encoder.weight.shape[0],
        "k": place.encoder.k,
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
    """Write what an ablated error holds, layer by layer."""
    save_file({f"blocks.{layer}": error for layer, error in enumerate(errors)}, folder / MEAN_ERROR)


def load_mean_errors(folder: Path) -> list[Float[Tensor, " channel"]]:
    """Read what an ablated error holds, layer by layer."""
    errors = read_tensors(folder / MEAN_ERROR)
    return [errors[f"blocks.{layer}"] for layer in range(len(errors))]
