"""The files of a cross-layer transcoder, laid out as circuit-tracer lays them out: two a layer.

`W_enc_{l}.safetensors` holds `W_enc_{l}` [feature, d_in], `b_enc_{l}`, `threshold_{l}` and `b_dec_{l}`;
`W_dec_{l}.safetensors` holds `W_dec_{l}` [feature, layers - l, d_out], the decoders from layer l to l, l + 1, …
(https://github.com/decoderesearch/circuit-tracer, circuit_tracer/transcoder/cross_layer_transcoder.py). `clt.json`
tells the number of layers, and k where the features are those of TopK.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from baselines.dictionary import Encoder
from sparse_model.checkpoint import read_json, read_tensors, readable


@dataclass(frozen=True, eq=False)
class Layers:
    """A trained cross-layer transcoder, layer by layer.

    Attributes:
        encoders: From what each MLP reads.
        decoders: By source layer, to that layer and each later one.
        biases: Of each layer's prediction.
    """

    encoders: Sequence[Encoder]
    decoders: Sequence[Float[Tensor, "feature _later channel"]]
    biases: Sequence[Float[Tensor, " channel"]]


def save_layers(layers: Layers, folder: Path) -> None:
    """Write all files."""
    settings = {"layers": len(layers.encoders), "k": layers.encoders[0].k}
    (folder / "clt.json").write_text(json.dumps(settings), encoding="utf-8")
    for layer, (encoder, decoder, bias) in enumerate(zip(layers.encoders, layers.decoders, layers.biases, strict=True)):
        weights = {
            f"W_enc_{layer}": encoder.weight,
            f"b_enc_{layer}": encoder.bias,
            f"threshold_{layer}": encoder.threshold,
            f"b_dec_{layer}": bias,
        }
        save_file({name: weight.detach() for name, weight in weights.items()}, folder / f"W_enc_{layer}.safetensors")
        save_file({f"W_dec_{layer}": decoder.contiguous()}, folder / f"W_dec_{layer}.safetensors")


def load_layers(folder: Path) -> Layers:
    """Read all files."""
    settings = read_json(folder / "clt.json")
    encoders, decoders, biases = [], [], []
    with readable(folder / "clt.json", "cross-layer transcoder"):
        layers, k = settings["layers"], settings["k"]
    for layer in range(layers):
        path = folder / f"W_enc_{layer}.safetensors"
        weights = read_tensors(path) | read_tensors(folder / f"W_dec_{layer}.safetensors")
        with readable(path, "cross-layer transcoder"):
            threshold = None if k else weights[f"threshold_{layer}"]
            encoders.append(Encoder(weights[f"W_enc_{layer}"], weights[f"b_enc_{layer}"], k=k, threshold=threshold))
            decoders.append(weights[f"W_dec_{layer}"])
            biases.append(weights[f"b_dec_{layer}"])
    return Layers(encoders, decoders, biases)
