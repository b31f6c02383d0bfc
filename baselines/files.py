"""The files of a trained dictionary: one folder per hook point in the format of sae-lens, and the mean errors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from baselines.dictionary import Dictionary, Encoder
from baselines.file_names import SETTINGS, WEIGHTS, is_sparsify
from baselines.hook_names import MLP_READS, MLPRead, mlp_read_of, place_of, their_name
from baselines.sae_lens_files import SAES, TRANSCODERS, SavedLayer, read_layer
from baselines.sparsify_files import read_sparsify_layer
from benchmark.files import CorruptFileError, read_tensors, readable

MEAN_ERROR = "mean_error.safetensors"


def load_dictionary(folder: Path, hook_points: Sequence[str], *, transcoders: bool = False) -> Dictionary:
    """Read what sae-lens saved in a folder for each hook point; the arguments and errors are those of `load_layers`."""
    return load_layers([folder / name for name in hook_points], hook_points, transcoders=transcoders)


def load_layers(folders: Sequence[Path], hook_points: Sequence[str], *, transcoders: bool = False) -> Dictionary:
    """Read what sae-lens, or sparsify, saved for each layer, without importing it; a decoder writes to its own layer.

    Args:
        folders: The folder of each layer.
        hook_points: What is predicted, layer by layer, in our names.
        transcoders: Whether they are transcoders, which read the input of an MLP; an SAE reads what it predicts.

    Raises:
        CorruptFileError: For a damaged file, an architecture that is not supported or of the other kind, or a
            configuration that names other hook points.
    """
    layers, reads = [], set[MLPRead]()
    for folder, name in zip(folders, hook_points, strict=True):
        layer = read_sparsify_layer(folder) if is_sparsify(folder) else read_layer(folder)
        path = folder / SETTINGS
        if layer.is_transcoder != transcoders:
            told, wanted = ("an SAE", TRANSCODERS) if transcoders else ("a transcoder", SAES)
            raise CorruptFileError(path, f"is of {told}; choose an architecture from {', '.join(wanted)}")
        if layer.predicts is not None and place_of(layer.predicts) != name:
            field = "hook_name_out" if transcoders else "hook_name"
            raise CorruptFileError(path, f"has the {field} {layer.predicts!r}, but is used at {name}")
        reads.add(_read_of(layer, name, path) if transcoders else "mlp_in")
        layers.append(layer)
        check_alike(path, layer.encoder, layer.bias, layers[0].encoder, layers[0].bias)
    if len(reads) > 1:
        raise CorruptFileError(
            folders[0] / SETTINGS, f"reads another input of its MLP than the others: {sorted(reads)}"
        )
    encoders, biases = [layer.encoder for layer in layers], [layer.bias for layer in layers]
    return Dictionary(encoders, [[layer.decoder] for layer in layers], biases, *reads)


def _read_of(layer: SavedLayer, predicts: str, path: Path) -> MLPRead:
    """Which input of its MLP a transcoder reads; `CorruptFileError` if its file names something else."""
    if layer.reads is None:
        return "mlp_in"
    number = int(predicts.split(".")[1])
    if (read := mlp_read_of(place_of(layer.reads), number)) is None:
        choices = ", ".join(their_name(f"blocks.{number}.{each}") for each in MLP_READS)
        raise CorruptFileError(path, f"has the hook_name {layer.reads!r}; choose from {choices}")
    return read


def check_alike(path: Path, encoder: Encoder, bias: Tensor, first: Encoder, first_bias: Tensor) -> None:
    """`CorruptFileError` if a layer has other widths than the first; the numbers of features may differ."""
    own, others = ((each.weight.shape[1], len(write)) for each, write in ((encoder, bias), (first, first_bias)))
    if own != others:
        told = f"reads {own[0]} channels and writes to {own[1]}, and the first layer {others[0]} and {others[1]}"
        raise CorruptFileError(path, told)


def check_widths(
    encoder: Tensor, bias: Tensor, decoder: Tensor, decoder_bias: Tensor, threshold: Tensor | None = None
) -> None:
    """`ValueError` if the weights of a dictionary do not go together: `[feature, d_in]` and `[feature, ..., d_out]`."""
    all_of_it = [encoder, bias, decoder, decoder_bias, *([] if threshold is None else [threshold])]
    features, d_out = len(bias), len(decoder_bias)
    found = [tuple(each.shape) for each in all_of_it]
    wanted = [(features, encoder.shape[-1]), (features,), (*decoder.shape[:-1], d_out), (d_out,)]
    if found != [*wanted, (features,)][: len(found)] or len(decoder) != features:
        raise ValueError(f"shapes that do not fit each other: {', '.join(map(str, found))}")
    if not all(each.dtype == torch.float32 and each.isfinite().all() for each in all_of_it):
        raise ValueError("weights that are not finite float32 numbers")


def checked_k(k: Any, features: int) -> int:
    """Number of features that fire; `ValueError` if it is not one."""
    if type(k) is not int or not 1 <= k <= features:
        raise ValueError(f"k is {k!r}; choose 1 to {features}")
    return k


def save_top_k(
    encoder: Encoder, decoder: Float[Tensor, "channel feature"], bias: Float[Tensor, " channel"], folder: Path
) -> None:
    """Write a TopK SAE in the format of sae-lens."""
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
    (folder / SETTINGS).write_text(json.dumps(settings, sort_keys=True), encoding="utf-8")


def save_mean_errors(errors: Sequence[Float[Tensor, " channel"]], folder: Path) -> None:
    """Write the ablation values of the errors, layer by layer."""
    save_file({f"blocks.{layer}": error for layer, error in enumerate(errors)}, folder / MEAN_ERROR)


def load_mean_errors(folder: Path) -> list[Float[Tensor, " channel"]]:
    """Read the ablation values of the errors, layer by layer."""
    errors = read_tensors(folder / MEAN_ERROR)
    with readable(folder / MEAN_ERROR, "file of mean errors"):
        found = [errors[f"blocks.{layer}"] for layer in range(len(errors))]
        if any(error.dim() != 1 or error.dtype != torch.float32 for error in found):
            raise ValueError("mean errors that are not rows of float32 numbers")
    return found
