"""Checks a saved dictionary, copies it into an artifact, measures it, and loads it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from baselines.activations import hook_points
from baselines.base import ReplaceableModel
from baselines.circuit_tracer_files import files_of, read_circuit_tracer
from baselines.dictionary import Dictionary
from baselines.file_names import CIRCUIT_TRACER_SETTINGS as CONFIG
from baselines.file_names import is_circuit_tracer
from baselines.files import load_layers, load_mean_errors
from baselines.quality import finish
from baselines.replaced_stream import ReplacedStream
from baselines.replacement import ReplacedMLPs, Replacement, dense_of
from baselines.saved import SavedConfig
from baselines.saved.sources import folders_of, layer_files
from benchmark.corpus import Corpus
from benchmark.files import CorruptFileError, open_regular, readable
from benchmark.methods import Facts
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress

Needed = Mapping[str, CircuitModel]


def train_sae(
    corpus: Corpus, config: SavedConfig, seed: int, needed: Needed, folder: Path, progress: Progress
) -> Facts:
    """Copy SAEs and measure them."""
    source, dense = Path(config.path), dense_of(needed)
    _check(read_saes(source, dense), dense, dense.config.d_model)
    _copy_sae_lens(source, hook_points(dense, "resid_post"), folder)
    return finish(load_sae, corpus, config, needed, folder, tokens=None)


def train_transcoder(
    corpus: Corpus, config: SavedConfig, seed: int, needed: Needed, folder: Path, progress: Progress
) -> Facts:
    """Copy transcoders and measure them."""
    source, dense = Path(config.path), dense_of(needed)
    _check_mlps(read_transcoders(source, dense), dense)
    if is_circuit_tracer(source):
        _copy_circuit_tracer(source, folder)
    else:
        _copy_sae_lens(source, hook_points(dense, "mlp_out"), folder)
    return finish(load_transcoder, corpus, config, needed, folder, tokens=None)


def train_clt(
    corpus: Corpus, config: SavedConfig, seed: int, needed: Needed, folder: Path, progress: Progress
) -> Facts:
    """Copy a cross-layer transcoder and measure it."""
    source, dense = Path(config.path), dense_of(needed)
    _check_mlps(read_cross_layer(source), dense)
    _copy_circuit_tracer(source, folder)
    return finish(load_clt, corpus, config, needed, folder, tokens=None)


def load_sae(folder: Path, variant: str, needed: Needed) -> Replacement:
    """The dense model with its stream replaced."""
    dense = dense_of(needed)
    return ReplacedStream.of(read_saes(folder, dense), dense, load_mean_errors(folder), variant)


def load_transcoder(folder: Path, variant: str, needed: Needed) -> Replacement:
    """The dense model with its MLPs replaced, one by one."""
    dense = dense_of(needed)
    return ReplacedMLPs.of(read_transcoders(folder, dense), dense, load_mean_errors(folder), variant)


def load_clt(folder: Path, variant: str, needed: Needed) -> Replacement:
    """The dense model with its MLPs replaced together."""
    return ReplacedMLPs.of(read_cross_layer(folder), dense_of(needed), load_mean_errors(folder), variant)


def read_saes(folder: Path, dense: ReplaceableModel) -> Dictionary:
    """SAEs in the folders of sae-lens."""
    places = hook_points(dense, "resid_post")
    return load_layers(folders_of(folder, places), places)


def read_transcoders(folder: Path, dense: ReplaceableModel) -> Dictionary:
    """Transcoders in a folder of circuit-tracer, or in the folders of sae-lens."""
    if is_circuit_tracer(folder):
        return _of_kind(folder, cross_layer=False)
    places = hook_points(dense, "mlp_out")
    return load_layers(folders_of(folder, places), places, transcoders=True)


def read_cross_layer(folder: Path) -> Dictionary:
    """A cross-layer transcoder in a folder of circuit-tracer."""
    return _of_kind(folder, cross_layer=True)


def _of_kind(folder: Path, *, cross_layer: bool) -> Dictionary:
    dictionary, is_cross_layer = read_circuit_tracer(folder)
    if is_cross_layer != cross_layer:
        told, kind = ("a cross-layer transcoder", "clt") if is_cross_layer else ("per-layer transcoders", "transcoder")
        raise CorruptFileError(folder / CONFIG, f"is of {told}; choose the method saved_{kind} or hooked_{kind}")
    return dictionary


def _check_mlps(dictionary: Dictionary, dense: ReplaceableModel) -> None:
    """As `_check`, for a dictionary of MLPs."""
    _check(dictionary, dense, dense.config.d_read if dictionary.reads == "mlp_in" else dense.config.d_model)


def _check(dictionary: Dictionary, dense: ReplaceableModel, read: int) -> None:
    """`ValueError` if layers or widths of a dictionary are not those of the dense model; `read` is of an encoder."""
    if (layers := len(dictionary.encoders)) != dense.config.layers:
        raise ValueError(f"the dictionary has {layers} layers, and the model {dense.config.layers}")
    found, wanted = (dictionary.encoders[0].weight.shape[1], len(dictionary.biases[0])), (read, dense.config.d_model)
    if found != wanted:
        shown = "the dictionary reads {} channels and writes to {}, and the model has {} and {}"
        raise ValueError(shown.format(*found, *wanted))


def _copy_sae_lens(source: Path, places: list[str], folder: Path) -> None:
    """Copy the folders of sae-lens, each under the name of its hook point."""
    for place, found in zip(places, folders_of(source, places), strict=True):
        for name in layer_files(found):
            _copy(found / name, folder / place / name)


def _copy_circuit_tracer(source: Path, folder: Path) -> None:
    for name in files_of(source):
        _copy(source / name, folder / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with readable(source, "file"), open_regular(source) as old, target.open("wb") as new:
        shutil.copyfileobj(old, new)
