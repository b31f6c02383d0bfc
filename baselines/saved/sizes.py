"""The size of a saved dictionary, from the headers of its files, and whether it fits the model. Imports no torch."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from baselines.base_sizes import BaseSizes, base_sizes
from baselines.file_names import is_circuit_tracer, is_sparsify
from baselines.resources import Widths, resources_read
from baselines.saved import SavedConfig
from baselines.saved.sources import files_in, folders_of
from benchmark.files import tensor_entries
from benchmark.resources import Resources, Shapes

ENCODER = re.compile(r"W_enc(_\d+)?|encoder\.weight")
"""The name of an encoder's weights, in every format."""

DECODER = re.compile(r"W_dec(_\d+)?")
"""That of a decoder's: features first, channels last, and of a cross-layer transcoder the targets between them."""


@dataclass(frozen=True)
class SavedSizes:
    """The sizes of a dictionary.

    Attributes:
        layers: Number of encoders.
        source: Channels that each reads.
        features: Features of a layer; of the largest, if they differ.
        written: Channels that each writes.
    """

    layers: int
    source: int
    features: int
    written: int


def resources_sae(config: SavedConfig, shapes: Shapes) -> Resources | None:
    """What saved SAEs take; `ValueError` if their layers or widths are not those of the model."""
    return _resources(config, shapes, "resid_post", lambda layers: (1,) * layers)


def resources_transcoder(config: SavedConfig, shapes: Shapes) -> Resources | None:
    """What saved transcoders take."""
    return _resources(config, shapes, "mlp_out", lambda layers: (1,) * layers)


def resources_clt(config: SavedConfig, shapes: Shapes) -> Resources | None:
    """What a saved cross-layer transcoder takes."""
    return _resources(config, shapes, "mlp_out", lambda layers: tuple(range(layers, 0, -1)))


def saved_sizes(folder: Path) -> SavedSizes | None:
    """The sizes of the dictionary in a folder; `None` if no file has an encoder and a decoder by a known name.

    Raises:
        CorruptFileError: A file is not a safetensors file.
        ValueError: There is no dictionary in the folder.
    """
    encoders, decoders = [], []
    for path in files_in(folder).values():
        if path.suffix != ".safetensors":
            continue
        shapes = {name: entry.shape for name, entry in tensor_entries(path).items()}
        by_feature = is_circuit_tracer(folder) or is_sparsify(path.parent)
        encoders += [shape if by_feature else shape[::-1] for shape in _named(shapes, ENCODER)]
        decoders += _named(shapes, DECODER)
    if not encoders or not decoders:
        return None
    return SavedSizes(len(encoders), encoders[0][1], max(shape[0] for shape in encoders), decoders[0][-1])


def _named(shapes: Mapping[str, tuple[int, ...]], name: re.Pattern[str]) -> list[tuple[int, ...]]:
    """The shapes of the matrices with such a name."""
    return [shape for each, shape in shapes.items() if name.fullmatch(each) and len(shape) > 1]


def _resources(
    config: SavedConfig, shapes: Shapes, hook: str, targets: Callable[[int], tuple[int, ...]]
) -> Resources | None:
    """What a dictionary takes; `None` if its files or the model's configuration do not say its sizes."""
    folder = Path(config.path)
    found, base = saved_sizes(folder), base_sizes(shapes)
    if found is None or base is None:
        return None
    _check_fits(folder, found, hook, base)
    widths = Widths(base, found.source, found.features, targets(base.layers), replaces_mlps=hook == "mlp_out")
    return resources_read(config, widths)


def _check_fits(folder: Path, found: SavedSizes, hook: str, base: BaseSizes) -> None:
    """`ValueError` in one line if layers or widths of a dictionary are not those of the model."""
    layers, d_model = base.layers, base.d_model
    reads = {base.d_read, d_model} if hook == "mlp_out" else {d_model}
    if not is_circuit_tracer(folder):
        folders_of(folder, [f"blocks.{layer}.{hook}" for layer in range(layers)])
    elif found.layers != layers:
        raise ValueError(f"path {str(folder)!r}: the dictionary has {found.layers} layers, and the model {layers}")
    if found.source not in reads or found.written != d_model:
        raise ValueError(
            f"path {str(folder)!r}: the dictionary reads {found.source} channels and writes to {found.written}, and "
            f"the model has {' or '.join(map(str, sorted(reads)))} and {d_model}"
        )
