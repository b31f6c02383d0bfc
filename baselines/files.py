"""The files of a trained dictionary: sae-lens's folders, one a place, and the mean errors."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from baselines.dictionary import Encoder, Place

WEIGHTS, SETTINGS, MEAN_ERROR = "sae_weights.safetensors", "cfg.json", "mean_error.safetensors"


def load_place(folder: Path) -> Place:
    """Read what sae-lens has saved, without importing it.

    Raises:
        ValueError: For an architecture that the dictionaries here do not have.
    """
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    weights = load_file(folder / WEIGHTS)
    bias = weights["b_enc"]
    if settings["apply_b_dec_to_input"]:
        bias = bias - weights["b_dec"] @ weights["W_enc"]
    encoder, architecture = weights["W_enc"].T.contiguous(), settings["architecture"]
    if architecture == "topk":
        return Place(Encoder(encoder, bias, k=settings["k"]), weights["W_dec"].T.contiguous(), weights["b_dec"])
    if architecture in ("jumprelu", "jumprelu_transcoder"):
        thresholded = Encoder(encoder, bias, threshold=weights["threshold"])
        return Place(thresholded, weights["W_dec"].T.contiguous(), weights["b_dec"])
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
    errors = load_file(folder / MEAN_ERROR)
    return [errors[f"blocks.{layer}"] for layer in range(len(errors))]
