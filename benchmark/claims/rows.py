"""Writes the claims cell: measurements for the records, points of curves, and JSON with all curves."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import metrics
from benchmark.claims.compounding import EVERY, ErrorCurve
from benchmark.claims.firing import EDGES, firing
from benchmark.claims.measure import LISTS, Claims
from benchmark.records.curves import CurvePoint
from benchmark.records.table import Measurement
from benchmark.statistics.intervals import cluster_bootstrap

CLAIMS = "claims.json"
"""The file in the folder of a claims cell."""

DENSITIES = {
    "connection_density": "every",
    "connection_density_null": "every_null",
    "coactive_connection_density": "coactive",
    "coactive_connection_density_null": "coactive_null",
}
"""The field of `Density` that holds each metric."""


def claim_measurements(found: Claims, generator: np.random.Generator) -> Iterator[Measurement]:
    """All numbers; intervals are over windows, resampled by the generator."""
    if found.errors is not None:
        yield from compounding_measurements(found.errors, generator)
    if found.rates:
        spread = metrics.firing_rate_spread(np.concatenate(list(found.rates.values())))
        yield Measurement.or_why("firing_rate_spread", spread, "no feature fires")
    why = "every connection between units is opaque" if found.density is None else "no pair of nodes fires"
    for metric, name in DENSITIES.items():
        value = None if found.density is None else getattr(found.density, name)
        yield Measurement.or_why(metric, math.nan if value is None else value, why)
    own, other = found.losses, found.reference_losses
    if other is None:
        yield Measurement("token_loss_correlation", status="undefined", reason=found.why_alone)
    else:

        def correlation(drawn: Any) -> float:
            return metrics.token_loss_correlation(own[drawn], other[drawn])

        yield _over_windows("token_loss_correlation", correlation, len(own), generator)
    elements, nested = [each.elements for each in found.lists], [each.nested for each in found.lists]
    why = found.why_no_lists or f"p(right) of nested lists stays at 0.5 or above up to {elements[-1]} elements"
    if nested and nested[0] < 0.5:
        why = f"p(right) of nested lists is already {nested[0]:.2f} with {elements[0]} elements"
    yield Measurement.or_why("context_dilution", metrics.context_dilution(elements, nested), why)
    slope = metrics.dilution_slope(elements, [each.separation for each in found.lists])
    why = found.why_no_lists or "some lists are not distinguished from nested ones at all"
    yield Measurement.or_why("dilution_slope", slope, why)


def compounding_measurements(errors: ErrorCurve, generator: np.random.Generator) -> Iterator[Measurement]:
    """The cost of replacing all layers, in nats and relative to one layer at a time."""
    together, alone, windows = errors.consecutive_kl[-1], errors.alone_kl, errors.alone_kl.shape[1]

    def compounding(drawn: Any) -> float:
        return metrics.error_compounding(float(together[drawn].mean()), alone[:, drawn].mean(axis=1))

    why = "replacing single layers does no harm"
    yield _over_windows("error_compounding", compounding, windows, generator, why)
    yield _over_windows("replaced_kl", lambda drawn: float(together[drawn].mean()), windows, generator)


def _over_windows(
    metric: str, statistic: Callable[[Any], float], windows: int, generator: np.random.Generator, why: str = ""
) -> Measurement:
    """A statistic of windows, given by their indices, with its interval."""
    low, high = cluster_bootstrap(statistic, windows, generator)
    value = statistic(np.arange(windows))
    return Measurement(metric, value, low, high, "prompts", windows, reason="" if math.isfinite(value) else why)


def claim_points(found: Claims) -> Iterator[CurvePoint]:
    """The curves: the cost of replacing more and more layers, and how well lists of each length are closed."""
    if found.errors is not None:
        windows = found.errors.alone_kl.shape[1]
        for each in _curves(found.errors)["consecutive"]:
            for series in ("kl", "loss_increase", "additive_kl"):
                yield CurvePoint("error_compounding", "layers replaced", each["layers"], series, each[series], windows)
    for point in found.lists:
        for series in ("flat", "nested", "separation"):
            yield CurvePoint("context_dilution", "elements", point.elements, series, getattr(point, series), LISTS)


def write_claims(found: Claims, folder: Path) -> None:
    """Write all curves and distributions into a folder."""
    other = found.reference_losses
    rates = {"all": np.concatenate(list(found.rates.values())), **found.rates} if found.rates else {}
    content = {
        "error_compounding": None if found.errors is None else _curves(found.errors),
        "firing_rates": {"edges": EDGES, **{name: firing(each) for name, each in rates.items()}} if rates else None,
        "connection_density": {
            "all": None if found.density is None else asdict(found.density),
            **{kinds: asdict(density) for kinds, density in found.kinds.items()},
        },
        "token_losses": {
            "mean": float(found.losses.mean(dtype=np.float64)),
            "reference_mean": None if other is None else float(other.mean(dtype=np.float64)),
            "correlation": None if other is None else metrics.token_loss_correlation(found.losses, other),
            "tokens": found.losses.size,
        },
        "context_dilution": [asdict(point) for point in found.lists],
    }
    (folder / CLAIMS).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _curves(errors: ErrorCurve) -> dict[str, Any]:
    """Means over windows, and the sums over single layers."""
    alone = errors.alone_kl.mean(axis=1)
    return {
        "consecutive": [
            {"layers": layers, "kl": float(kl.mean()), "loss_increase": float(loss.mean()),
             "additive_kl": float(alone[:layers].sum())}
            for layers, (kl, loss) in enumerate(zip(errors.consecutive_kl, errors.consecutive_loss, strict=True))
        ],
        "alone": [
            {"layer": layer, "kl": float(kl.mean()), "loss_increase": float(loss.mean())}
            for layer, (kl, loss) in enumerate(zip(errors.alone_kl, errors.alone_loss, strict=True))
        ],
        "windows": errors.alone_kl.shape[1],
        "every": EVERY,
    }  # fmt: skip
