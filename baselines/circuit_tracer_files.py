"""Reads and writes the dictionaries of circuit-tracer (https://github.com/decoderesearch/circuit-tracer, version 0.5).

A folder has a `config.yaml`, which names the hook points, and

- for a set of per-layer transcoders `layer_{l}.safetensors`: `W_enc` [feature, d_model], `b_enc`, `W_dec`
  [feature, d_model], `b_dec`, with JumpReLU `activation_function.threshold`, with a skip connection `W_skip`
  [d_model, d_model];
- for a cross-layer transcoder `W_enc_{l}.safetensors` with `W_enc_{l}`, `b_enc_{l}`, `b_dec_{l}`, with JumpReLU
  `threshold_{l}`, and `W_dec_{l}.safetensors` with `W_dec_{l}` [feature, layers - l, d_model].

JumpReLU is x (x > threshold) there, and TopK keeps the k largest whatever their sign: both let negative features
through, where sae-lens and our own dictionaries have a ReLU first.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from baselines.dictionary import Dictionary, Encoder
from baselines.file_names import CIRCUIT_TRACER_SETTINGS as CONFIG
from baselines.file_names import MOST_LAYERS
from baselines.files import check_alike
from baselines.hook_names import MLP_READS, THEIRS, MLPRead, mlp_read_of, place_of
from baselines.sae_lens_files import with_skip
from benchmark.files import (
    CorruptFileError,
    check_finite,
    check_shapes,
    inside,
    read_tensors,
    read_yaml,
    readable,
    refuse_tensors,
    tensor_entries,
)
from benchmark.settings import Name, Settings, validated

THRESHOLD = "activation_function.threshold"


class FolderSettings(Settings):
    """The fields of a `config.yaml`."""

    model_kind: Literal["transcoder_set", "cross_layer_transcoder"]
    feature_input_hook: Name
    feature_output_hook: Name
    activation: Literal["topk", "relu", "jump_relu", "jumprelu"] | None = None
    """Without it, features have JumpReLU if there are thresholds, and else ReLU."""
    k: Annotated[int, Field(ge=1, le=10**8)] | None = None
    transcoders: list[Name] | None = Field(None, max_length=MOST_LAYERS)
    """The file of each layer, in order; without it `layer_{l}.safetensors`."""
    model_name: Name | None = None
    scan: Name | list[Name] | None = Field(None, max_length=MOST_LAYERS)
    repo_id: Name | None = None
    revision: Name | None = None
    subfolder: Name | None = None

    @property
    def reads(self) -> MLPRead | None:
        """Which input of the MLPs the features read; `None` if it is something else."""
        return mlp_read_of(place_of(f"blocks.0.{self.feature_input_hook}"), 0)


def read_circuit_tracer(folder: Path) -> tuple[Dictionary, bool]:
    """The dictionary in a folder of circuit-tracer, and whether it is a cross-layer transcoder.

    Raises:
        CorruptFileError: For a damaged file, or one line that names what is not supported.
    """
    settings = read_folder_settings(folder / CONFIG)
    cross_layer = settings.model_kind == "cross_layer_transcoder"
    read = _read_cross_layer(folder) if cross_layer else _read_set(folder, settings)
    assert settings.reads is not None
    return replace(read, reads=settings.reads), cross_layer


def read_folder_settings(path: Path) -> FolderSettings:
    """The settings in a `config.yaml`; `CorruptFileError` names what is not supported."""
    try:
        settings = validated(FolderSettings, read_yaml(path), "its settings")
        if (settings.activation == "topk") != (settings.k is not None):
            raise ValueError(f"activation is {settings.activation!r} and k is {settings.k}; k is for topk alone")
        if settings.model_kind == "cross_layer_transcoder" and (settings.activation or settings.transcoders):
            field = "activation" if settings.activation else "transcoders"
            raise ValueError(f"{field} is for a transcoder_set, and circuit-tracer ignores it here; leave it out")
        if settings.reads is None:
            choices = ", ".join(THEIRS[each] for each in MLP_READS)
            raise ValueError(f"feature_input_hook is {settings.feature_input_hook!r}; choose from {choices}")
        if place_of(f"blocks.0.{settings.feature_output_hook}") != "blocks.0.mlp_out":
            told = f"feature_output_hook is {settings.feature_output_hook!r}, but features are used at"
            raise ValueError(f"{told} {THEIRS['mlp_out']}")
    except CorruptFileError:
        raise
    except ValueError as error:
        raise CorruptFileError(path, f"cannot be used: {error}") from error
    return settings


def files_of(folder: Path) -> list[str]:
    """The names of all files that a folder of circuit-tracer consists of."""
    settings = read_folder_settings(folder / CONFIG)
    if settings.model_kind == "transcoder_set":
        return [CONFIG, *_layer_files(folder, settings)]
    layers = range(_numbered(folder, "W_enc"))
    return [CONFIG, *(f"{part}_{layer}.safetensors" for layer in layers for part in ("W_enc", "W_dec"))]


# Per-layer transcoders


def _read_set(folder: Path, settings: FolderSettings) -> Dictionary:
    encoders, decoders, biases = [], [], []
    for name in _layer_files(folder, settings):
        stored = _tensors(folder / name)
        k = int(stored.pop("k", torch.tensor(settings.k or 0)))
        if k != (settings.k or 0):
            raise CorruptFileError(folder / name, f"has k = {k}, and {CONFIG} has {settings.k}")
        _check(folder / name, stored, ("W_enc", "b_enc", "W_dec", "b_dec"), (THRESHOLD, "W_skip"))
        threshold, skip = stored.get(THRESHOLD), stored.get("W_skip")
        if problem := _activation_problem(settings, threshold):
            raise CorruptFileError(folder / name, problem)
        encoder, decoder, bias = stored["W_enc"], stored["W_dec"], stored["b_enc"]
        if skip is not None:
            encoder, decoder, bias = with_skip(encoder, decoder, bias, skip)
        linear = 0 if skip is None else len(skip)
        encoders.append(_encoder(encoder, bias, threshold, settings.k, linear))
        decoders.append([decoder.T.contiguous()])
        biases.append(stored["b_dec"])
        check_alike(folder / name, encoders[-1], biases[-1], encoders[0], biases[0])
    return Dictionary(encoders, decoders, biases)


def _activation_problem(settings: FolderSettings, threshold: Tensor | None) -> str:
    """Why thresholds and the activation of the configuration contradict each other; empty if they do not."""
    if settings.activation in ("jump_relu", "jumprelu") and threshold is None:
        return f"lacks {THRESHOLD}, and {CONFIG} has the activation {settings.activation!r}"
    if settings.activation in ("topk", "relu") and threshold is not None:
        return f"contains {THRESHOLD}, and {CONFIG} has the activation {settings.activation!r}"
    return ""


def _layer_files(folder: Path, settings: FolderSettings) -> list[str]:
    """The file of each layer of a set."""
    if settings.transcoders is None:
        return [f"layer_{layer}.safetensors" for layer in range(_numbered(folder, "layer"))]
    for name in settings.transcoders:
        if "://" in name or not name.endswith(".safetensors"):
            raise CorruptFileError(folder / CONFIG, f"names {name[:200]!r}; choose .safetensors files in its folder")
        inside(folder, name, folder / CONFIG)
    return list(settings.transcoders)


# Cross-layer transcoders


def _read_cross_layer(folder: Path) -> Dictionary:
    layers = _numbered(folder, "W_enc")
    jumps = "threshold_0" in tensor_entries(folder / "W_enc_0.safetensors")
    needed = ("W_enc", "b_enc", "W_dec", "b_dec", *(["threshold"] if jumps else []))
    encoders, decoders, biases = [], [], []
    for layer in range(layers):
        path, other = folder / f"W_enc_{layer}.safetensors", folder / f"W_dec_{layer}.safetensors"
        stored = {name.removesuffix(f"_{layer}"): each for name, each in (_tensors(path) | _tensors(other)).items()}
        _check(path, stored, needed, targets=layers - layer)
        encoders.append(_encoder(stored["W_enc"], stored["b_enc"], stored.get("threshold"), None, 0))
        decoders.append([decoder.T.contiguous() for decoder in stored["W_dec"].unbind(1)])
        biases.append(stored["b_dec"])
        check_alike(path, encoders[-1], biases[-1], encoders[0], biases[0])
    return Dictionary(encoders, decoders, biases)


def _numbered(folder: Path, part: str) -> int:
    """The number of files `{part}_{l}.safetensors`; `CorruptFileError` names the first that is missing."""
    try:
        names = [
            found[1] for each in folder.iterdir() if (found := re.fullmatch(rf"{part}_(\d+)\.safetensors", each.name))
        ]
    except OSError as error:
        raise CorruptFileError(folder, "is not a folder that can be read") from error
    if len(names) > MOST_LAYERS:
        raise CorruptFileError(folder, f"has {len(names):,} layers, more than {MOST_LAYERS:,}")
    for layer in range(max(1, len(names))):
        if str(layer) not in names:
            raise CorruptFileError(folder / f"{part}_{layer}.safetensors", "does not exist; get it again")
    return len(names)


# Both


def _encoder(weight: Tensor, bias: Tensor, threshold: Tensor | None, k: int | None, linear: int) -> Encoder:
    """An encoder with TopK or JumpReLU, both without a ReLU, or with a ReLU alone."""
    if k is not None:
        return Encoder(weight, bias, k=k, negative="kept", linear=linear)
    if threshold is not None:
        return Encoder(weight, bias, threshold=threshold, negative="kept", linear=linear)
    return Encoder(weight, bias, threshold=torch.zeros_like(bias[: len(bias) - linear]), linear=linear)


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file in float32; only `k` is a whole number."""
    for name, entry in tensor_entries(path).items():
        if not (entry.kind in ("F16", "BF16", "F32", "F64") or (name == "k" and not entry.shape)):
            raise CorruptFileError(path, f"contains {name[:80]!r} of the type {entry.kind}, not of floating point")
    found = {name: each if name == "k" else each.float() for name, each in read_tensors(path).items()}
    check_finite(path, found)
    return found


def _check(
    path: Path, stored: Mapping[str, Tensor], needed: Sequence[str], allowed: Sequence[str] = (), targets: int = 0
) -> None:
    """`CorruptFileError` for tensors that are missing or unknown, or whose shapes do not fit each other.

    Args:
        path: The file.
        stored: Its tensors.
        needed: Names of those that it must have.
        allowed: Names of those that it may have.
        targets: Layers that a decoder writes to, for cross-layer transcoders.
    """
    refuse_tensors(path, "lacks", [name for name in needed if name not in stored])
    with readable(path, "transcoder"):
        (features, d_in), (d_out,) = stored["W_enc"].shape, stored["b_dec"].shape
    decoder = (features, targets, d_out) if targets else (features, d_out)
    shapes = {"W_enc": (features, d_in), "b_enc": (features,), "W_dec": decoder, "b_dec": (d_out,)}
    shapes |= {THRESHOLD: (features,), "threshold": (features,), "W_skip": (d_out, d_in)}
    wanted = {name: shapes[name] for name in (*needed, *(name for name in allowed if name in stored))}
    check_shapes(path, {name: each.shape for name, each in stored.items()}, wanted)


# Writing


def save_circuit_tracer(dictionary: Dictionary, folder: Path) -> None:
    """Write transcoders, or a cross-layer transcoder, of the MLPs as a folder that circuit-tracer loads.

    Raises:
        ValueError: The format cannot say what the dictionary computes; one line that names it.
    """
    cross_layer = any(len(decoders) > 1 for decoders in dictionary.decoders)
    parts = list(_parts(dictionary, cross_layer))
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "model_kind": "cross_layer_transcoder" if cross_layer else "transcoder_set",
        "feature_input_hook": THEIRS[dictionary.reads],
        "feature_output_hook": THEIRS["mlp_out"],
    }
    if (k := dictionary.encoders[0].k) is not None:
        settings |= {"activation": "topk", "k": k}
    lines = (f"{name}: {value}\n" for name, value in settings.items())
    (folder / CONFIG).write_text("".join(lines), encoding="utf-8")
    for layer, (encoder, decoder) in enumerate(parts):
        if cross_layer:
            named = {f"{name}_{layer}": each for name, each in encoder.items()}
            save_file(named, folder / f"W_enc_{layer}.safetensors")
            save_file({f"W_dec_{layer}": decoder}, folder / f"W_dec_{layer}.safetensors")
        else:
            renamed = {THRESHOLD if name == "threshold" else name: each for name, each in encoder.items()}
            save_file({**renamed, "W_dec": decoder}, folder / f"layer_{layer}.safetensors")


def _parts(dictionary: Dictionary, cross_layer: bool) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """The tensors of each layer, and its decoders `[feature, (target,) channel]`."""
    first = dictionary.encoders[0]
    for layer, (encoder, writes) in enumerate(zip(dictionary.encoders, dictionary.decoders, strict=True)):
        if reason := _why_not(encoder, first, cross_layer, len(dictionary.biases[layer])):
            raise ValueError(f"layer {layer} has {reason}, which the format of circuit-tracer cannot say")
        sparse, bias = len(encoder.bias) - encoder.linear, dictionary.biases[layer].detach()
        named = {"W_enc": encoder.weight[:sparse], "b_enc": encoder.bias[:sparse]}
        if encoder.linear:
            write = writes[0][:, sparse:]
            named["W_skip"] = write @ encoder.weight[sparse:]
            bias = bias + write @ encoder.bias[sparse:]
        if encoder.k is None:  # a ReLU in front of JumpReLU is a threshold of at least zero
            zeroed = encoder.negative == "zeroed"
            named["threshold"] = encoder.threshold.clamp(min=0) if zeroed else encoder.threshold
        found = {name: each.detach().contiguous() for name, each in {**named, "b_dec": bias}.items()}
        decoders = [write[:, :sparse].T.detach() for write in writes]
        yield found, torch.stack(decoders, dim=1).contiguous() if cross_layer else decoders[0].contiguous()


def _why_not(encoder: Encoder, first: Encoder, cross_layer: bool, d_model: int) -> str:
    """What of an encoder the format cannot say; empty if it can say everything."""
    sparse = len(encoder.bias) - encoder.linear
    reasons = {
        f"rows scaled by {encoder.rows}": encoder.rows != "none",
        "AbsTopK": encoder.negative == "by_size",
        "TopK in a cross-layer transcoder": cross_layer and encoder.k is not None,
        "TopK with a ReLU": encoder.k is not None and encoder.negative == "zeroed",
        "a skip connection in a cross-layer transcoder": cross_layer and encoder.linear > 0,
        f"encoders of {encoder.weight.shape[1]} channels and decoders of {d_model}": encoder.weight.shape[1] != d_model,
        "another number of features than the first": sparse != len(first.bias) - first.linear,
        "another activation than the first": encoder.k != first.k,
        "a skip connection, or none, unlike the first": (encoder.linear > 0) != (first.linear > 0),
    }
    return next((reason for reason, present in reasons.items() if present), "")
