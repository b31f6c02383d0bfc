"""The files of a cross-layer transcoder in the layout of circuit-tracer: two per layer.

`W_enc_{l}.safetensors` contains `W_enc_{l}` [feature, d_in], `b_enc_{l}`, `threshold_{l}` and `b_dec_{l}`;
`W_dec_{l}.safetensors` contains `W_dec_{l}` [feature, layers - l, d_out], the decoders from layer l to l, l + 1, …
(https://github.com/decoderesearch/circuit-tracer, circuit_tracer/transcoder/cross_layer_transcoder.py). `clt.json`
has the number of layers, and k for TopK features. For circuit-tracer itself, which also has to know the hook points and
has no TopK here, `baselines.exports` writes the files.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from baselines.dictionary import Dictionary, Encoder
from baselines.file_names import MOST_LAYERS
from baselines.files import check_widths, checked_k
from benchmark.files import read_json, read_tensors, readable


def save_cross_layer(dictionary: Dictionary, folder: Path) -> None:
    """Write all files."""
    settings = {"layers": len(dictionary.encoders), "k": dictionary.encoders[0].k}
    (folder / "clt.json").write_text(json.dumps(settings), encoding="utf-8")
    for layer, encoder in enumerate(dictionary.encoders):
        weights = {
            f"W_enc_{layer}": encoder.weight,
            f"b_enc_{layer}": encoder.bias,
            f"threshold_{layer}": encoder.threshold,
            f"b_dec_{layer}": dictionary.biases[layer],
        }
        decoders = torch.stack([decoder.T for decoder in dictionary.decoders[layer]], dim=1)
        save_file({name: weight.detach() for name, weight in weights.items()}, folder / f"W_enc_{layer}.safetensors")
        save_file({f"W_dec_{layer}": decoders.contiguous()}, folder / f"W_dec_{layer}.safetensors")


def load_cross_layer(folder: Path) -> Dictionary:
    """Read all files."""
    settings = read_json(folder / "clt.json")
    encoders, decoders, biases = [], [], []
    with readable(folder / "clt.json", "cross-layer transcoder"):
        layers, k = settings["layers"], settings["k"]
        if type(layers) is not int or not 1 <= layers <= MOST_LAYERS:
            raise ValueError(f"layers is {layers!r}; choose 1 to {MOST_LAYERS}")
    for layer in range(layers):
        path = folder / f"W_enc_{layer}.safetensors"
        weights = read_tensors(path) | read_tensors(folder / f"W_dec_{layer}.safetensors")
        with readable(path, "cross-layer transcoder"):
            names = [f"{name}_{layer}" for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")]
            weight, bias, _, _, threshold = (weights[name] for name in names)
            check_widths(*(weights[name] for name in names))
            if weights[f"W_dec_{layer}"].shape[1] != layers - layer:
                raise ValueError(
                    f"a decoder for {weights[f'W_dec_{layer}'].shape[1]} layers instead of {layers - layer}"
                )
            fires = None if k is None else checked_k(k, len(bias))
            encoders.append(Encoder(weight, bias, k=fires, threshold=threshold if k is None else None))
            decoders.append([decoder.T.contiguous() for decoder in weights[f"W_dec_{layer}"].unbind(1)])
            biases.append(weights[f"b_dec_{layer}"])
    return Dictionary(encoders, decoders, biases)
