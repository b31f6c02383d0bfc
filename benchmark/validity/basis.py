"""Is a site's own basis privileged? Its nodes are compared with as many random directions in the same space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from benchmark.metrics import basis_privilege
from benchmark.metrics.arrays import mean
from benchmark.model.interface import Kind, Site
from benchmark.validity.precision import average_precisions

TOKENS = 8_192
"""Number of tokens on which the bases are compared."""


@dataclass(frozen=True)
class Basis:
    """A kind of site in its own basis and in a random one, averaged over its sites.

    Attributes:
        privilege: ln of the ratio of kurtosis, native to rotated.
        native: Best average precision per concept, averaged over the concepts that hold among the tokens; `nan` if none
            does.
        rotated: The same after a random rotation.
    """

    privilege: float
    native: float
    rotated: float


def bases(
    sites: Sequence[Site],
    values: Mapping[str, Float[np.ndarray, "_token _node"]],
    holds: Bool[np.ndarray, "concept token"],
    generator: np.random.Generator,
) -> dict[Kind, Basis]:
    """The comparison of native and rotated basis for every kind of site."""
    found: dict[Kind, list[Basis]] = {}
    seen = holds[:, :TOKENS]
    seen = seen[seen.any(axis=1)]
    for site in sites:
        native = values[site.name][:TOKENS]
        rotated = (native @ rotation(site.size, generator)).astype(np.float32)
        best = [mean(np.nanmax(average_precisions(basis, seen), axis=(0, 2))) for basis in (native, rotated)]
        found.setdefault(site.kind, []).append(Basis(basis_privilege(native, rotated), *best))
    return {
        kind: Basis(*(float(np.mean([getattr(each, name) for each in rows])) for name in Basis.__dataclass_fields__))
        for kind, rows in found.items()
    }


def rotation(size: int, generator: np.random.Generator) -> Float[np.ndarray, "node node"]:
    """A random rotation, uniform over all of them (Mezzadri 2007, arXiv math-ph/0609050)."""
    drawn, triangle = np.linalg.qr(generator.normal(size=(size, size)))
    rotated: Float[np.ndarray, "node node"] = drawn * np.sign(np.diag(triangle))
    return rotated
