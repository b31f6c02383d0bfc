"""The files of a trained low-rank sparse attention: its settings, and one file of weights per layer.

`blocks.{l}.attn_out.safetensors` contains `W_Q` [group * width, d_in], `b_Q`, `W_K`, `b_K`, `W_V` [head, d_in], `b_V`,
`W_O` [head, d_model] and `b_O`; `lorsa.json` the number of layers and of query-key circuits, and K.
"""

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from baselines.dictionary import Dictionary
from baselines.file_names import MOST_LAYERS
from baselines.files import check_widths, checked_k
from baselines.lorsa.heads import SparseHeads
from benchmark.files import read_json, read_tensors, readable

SETTINGS, KIND = "lorsa.json", "low-rank sparse attention"


def save_heads(dictionary: Dictionary, folder: Path) -> None:
    """Write all files."""
    layers = [each for each in dictionary.encoders if isinstance(each, SparseHeads)]
    settings = {"layers": len(layers), "qk_heads": layers[0].groups, "k": layers[0].k}
    (folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
    for layer, (heads, (decoder,)) in enumerate(zip(layers, dictionary.decoders, strict=True)):
        weights: dict[str, Tensor] = {name: heads.get_parameter(name) for name in ("W_Q", "b_Q", "W_K", "b_K")}
        weights |= {"W_V": heads.weight, "b_V": heads.bias, "W_O": decoder.T, "b_O": dictionary.biases[layer]}
        saved = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
        save_file(saved, folder / f"blocks.{layer}.attn_out.safetensors")


def load_heads(folder: Path) -> Dictionary:
    """Read all files; `CorruptFileError` names one that is damaged."""
    settings = read_json(folder / SETTINGS)
    with readable(folder / SETTINGS, KIND):
        layers, groups, k = (settings[name] for name in ("layers", "qk_heads", "k"))
        if type(layers) is not int or not 1 <= layers <= MOST_LAYERS:
            raise ValueError(f"layers is {layers!r}; choose 1 to {MOST_LAYERS}")
    encoders, decoders, biases = [], [], []
    for layer in range(layers):
        path = folder / f"blocks.{layer}.attn_out.safetensors"
        weights = read_tensors(path)
        with readable(path, KIND):
            check_widths(*(weights[name] for name in ("W_V", "b_V", "W_O", "b_O")))
            queries, keys = (weights["W_Q"], weights["b_Q"]), (weights["W_K"], weights["b_K"])
            _check_circuits(queries, keys, weights["W_V"], groups)
            fires = checked_k(k, len(weights["b_V"]))
            encoders.append(SparseHeads(weights["W_V"], weights["b_V"], queries, keys, groups=groups, k=fires))
            decoders.append([weights["W_O"].T.contiguous()])
            biases.append(weights["b_O"])
    return Dictionary(encoders, decoders, biases)


def _check_circuits(queries: tuple[Tensor, Tensor], keys: tuple[Tensor, Tensor], values: Tensor, groups: int) -> None:
    """`ValueError` if queries and keys do not go with the values, or heads do not share them evenly."""
    check_widths(*queries, queries[0], queries[1].new_zeros(queries[0].shape[-1]))
    check_widths(*keys, keys[0], keys[1].new_zeros(keys[0].shape[-1]))
    channels, heads = len(queries[1]), len(values)
    if queries[0].shape != keys[0].shape or queries[0].shape[1] != values.shape[1]:
        shapes = ", ".join(str(tuple(each.shape)) for each in (queries[0], keys[0], values))
        raise ValueError(f"shapes that do not fit each other: {shapes}")
    if type(groups) is not int or groups < 1 or channels % groups or heads % groups:
        raise ValueError(f"qk_heads is {groups!r}, which does not divide {channels} channels and {heads} heads")
