"""Reads the pruned circuits released with Gao et al. 2025 as circuits of our transformer: `viz_data.pt`.

The format is that of https://github.com/openai/circuit_sparsity, circuit_sparsity/viz.py. A file is a dictionary of
which two entries are used: `circuit_data`, the indices of the kept nodes by location, and the config of the model in
`importances`. A location is a hook name of the released code, such as `0.mlp.post_act`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.files import MIB, CorruptFileError
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Site
from sparse_model.pytorch_file import is_tensor, read_nested

HOOK_OF_LOCATION = {
    "attn.act_in": "attn_in",
    "attn.q": "q",
    "attn.k": "k",
    "attn.v": "v",
    "attn.resid_delta": "attn_out",
    "mlp.act_in": "mlp_in",
    "mlp.post_act": "neuron",
    "mlp.resid_delta": "mlp_out",
}
"""Our hook in a block by the released code's location in it."""

FINAL = "final_resid"
"""The location after the last block: the residual stream before the last norm, which is no site of ours."""

NOT_LOCATIONS = ("prune_config",)
"""Other keys of `circuit_data` in some files."""

LARGEST_FILE = 1024 * MIB
"""Most bytes of the tensors in a file, most of which are examples."""


@dataclass(frozen=True, eq=False)
class ReleasedCircuit:
    """A released circuit.

    Attributes:
        circuit: Its nodes at the sites of our transformer; at a site whose location the file does not have, none.
        final: Number of nodes that it keeps of the final residual stream, which are not part of `circuit`: they have no
            edges, and our graphs end at the last sublayer's output.
        config: The config of its model, as far as the file states it.
    """

    circuit: Circuit
    final: int
    config: Mapping[str, Any]


def read_circuit(path: Path, sites: Sequence[Site]) -> ReleasedCircuit:
    """The circuit in a file.

    Args:
        path: The file.
        sites: The sites of the model that it is a circuit of.

    Raises:
        CorruptFileError: One line with the location, if the file has no such circuit or keeps nodes that the model does
            not have.
    """
    content = read_nested(path, LARGEST_FILE)
    kept = content.get("circuit_data")
    if not isinstance(kept, dict):
        raise CorruptFileError(path, "has no circuit: its entry circuit_data is missing or no dictionary")
    masks = {site.name: torch.zeros(site.size, dtype=torch.bool) for site in sites}
    final = 0
    for location, indices in kept.items():
        if location in NOT_LOCATIONS:
            continue
        if location == FINAL:
            final = len(_indices(path, location, indices).unique())
            continue
        name = _site(path, location, masks)
        masks[name] = _mask(path, location, indices, len(masks[name]))
    if not any(mask.any() for mask in masks.values()):
        raise CorruptFileError(path, "has a circuit without nodes")
    return ReleasedCircuit(Circuit(masks), final, _config(content))


def read_means(path: Path, sites: Sequence[Site]) -> dict[str, Float[Tensor, " _"]]:
    """The ablation values in a file, by site: a dictionary with the mean of every node by location.

    Locations that are no sites of ours, such as the residual stream, are left out.

    Args:
        path: The file.
        sites: The sites of the model.

    Raises:
        CorruptFileError: It is not such a file, or has other shapes than the model.
    """
    sizes = {site.name: site.size for site in sites}
    means = {}
    for location, values in read_nested(path, LARGEST_FILE).items():
        name = site_of(location)
        if name is None:
            continue
        if name not in sizes:
            raise CorruptFileError(path, f"has means at {location[:100]}, which the model does not have")
        if not is_tensor(values) or values.numel() != sizes[name] or values.shape[-1:] != (sizes[name],):
            raise CorruptFileError(path, f"has no mean for each of {sizes[name]:,} nodes at {location[:100]}")
        means[name] = values.reshape(-1).float().clone()
    if not means:
        raise CorruptFileError(path, "has no means by location, such as 0.mlp.post_act")
    if wrong := [name for name, values in means.items() if not values.isfinite().all()]:
        raise CorruptFileError(path, f"has means that are not finite at {wrong[0]}")
    return means


def site_of(location: object) -> str | None:
    """The name of our site for a location of the released code; `None` if it is no site of ours."""
    found = re.fullmatch(r"(0|[1-9]\d{0,3})\.(\w+\.\w+)", location) if isinstance(location, str) else None
    if found is None or found[2] not in HOOK_OF_LOCATION:
        return None
    return f"blocks.{int(found[1])}.{HOOK_OF_LOCATION[found[2]]}"


def _site(path: Path, location: object, masks: Mapping[str, Tensor]) -> str:
    """The site of a circuit's location, which the model must have."""
    name = site_of(location)
    if name is None:
        choices = ", ".join([*(f"LAYER.{known}" for known in HOOK_OF_LOCATION), FINAL])
        raise CorruptFileError(
            path, f"has a circuit with the unknown location {location!r:.100}; choose from {choices}"
        )
    if name not in masks:
        raise CorruptFileError(path, f"has a circuit with nodes at {location}, which the model does not have")
    return name


def _mask(path: Path, location: str, indices: object, size: int) -> Bool[Tensor, " node"]:
    """The nodes that are kept at a location of a given size, from their indices or from a mask."""
    if is_tensor(indices) and indices.dtype == torch.bool:
        if indices.shape != (size,):
            raise CorruptFileError(path, f"has a mask of shape {list(indices.shape)} at {location} of {size:,} nodes")
        return indices.clone()
    found = _indices(path, location, indices)
    outside = found[(found < 0) | (found >= size)]
    if len(outside):
        raise CorruptFileError(path, f"keeps node {int(outside[0])} at {location}, which has {size:,} nodes")
    if len(found.unique()) < len(found):
        raise CorruptFileError(path, f"keeps a node at {location} twice")
    mask = torch.zeros(size, dtype=torch.bool)
    mask[found] = True
    return mask


def _indices(path: Path, location: str, indices: object) -> Tensor:
    """The indices at a location, as whole numbers."""
    if not is_tensor(indices) or indices.dim() != 1 or indices.is_floating_point():
        raise CorruptFileError(path, f"has no row of indices at {location}")
    return indices.nonzero().flatten() if indices.dtype == torch.bool else indices.long()


def _config(content: Mapping[Any, Any]) -> dict[str, Any]:
    """The config of the model that a file states; empty if it states none."""
    importances = content.get("importances")
    config = importances.get("beeg_model_config") if isinstance(importances, dict) else None
    return {key: value for key, value in config.items() if isinstance(key, str)} if isinstance(config, dict) else {}
