"""Turns what was measured into measurements for the records and into JSON with the whole curves."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import metrics
from benchmark.claims.compounding import EVERY, ErrorCurve
from benchmark.claims.connections import Density
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
"""What each metric is called in a `Density`."""


def claim_measurements(found: Claims, generator: np.random.Generator) -> Iterator[Measurement]:
    """Every number; intervals are over windows, resampled by the generator."""
    if found.errors is not None:
        yield from compounding_measurements(found.errors, generator)
    if found.rates:
        spread = metrics.firing_rate_spread(np.concatenate(list(found.rates.values())))
        yield Measurement.or_why("firing_rate_spread", spread, "no feature fires")
    yield from _densities(found.density)
    yield _correlation(found, generator)
    yield _dilution(found)
    slope = metrics.dilution_slope([each.elements for each in found.lists], [each.separation for each in found.lists])
    why = found.why_no_lists or "some lists are not told from nested ones at all"
    yield Measurement.or_why("dilution_slope", slope, why)


def compounding_measurements(errors: ErrorCurve, generator: np.random.Generator) -> Iterator[Measurement]:
    """With all layers replaced, in nats and against one layer at a time."""
    together, alone, windows = errors.consecutive_kl[-1], errors.alone_kl, errors.alone_kl.shape[1]

    def compounding(drawn: Any) -> float:
        return metrics.error_compounding(float(together[drawn].mean()), alone[:, drawn].mean(axis=1))

    low, high = cluster_bootstrap(compounding, windows, generator)
    value, why = compounding(np.arange(windows)), "replacing single layers does no harm"
    reason = "" if math.isfinite(value) else why
    yield Measurement("error_compounding", value, low, high, "prompts", windows, reason=reason)
    low, high = cluster_bootstrap(lambda drawn: float(together[drawn].mean()), windows, generator)
    yield Measurement("replaced_kl", float(together.mean()), low, high, "prompts", windows)


def _densities(density: Density | None) -> Iterator[Measurement]:
    for metric, name in DENSITIES.items():
        value = None if density is None else getattr(density, name)
        if value is not None:
            yield Measurement(metric, value)
        else:
            why = "every connection between units is opaque" if density is None else "no pair of nodes fires"
            yield Measurement(metric, status="undefined", reason=why)


def _correlation(found: Claims, generator: np.random.Generator) -> Measurement:
    """Of the losses with those of the model that it is compared with."""
    own, other = found.losses, found.reference_losses
    if other is None:
        return Measurement("token_loss_correlation", status="undefined", reason=found.why_alone)
    windows = len(own)

    def correlation(drawn: Any) -> float:
        return metrics.token_loss_correlation(own[drawn], other[drawn])

    low, high = cluster_bootstrap(correlation, windows, generator)
    return Measurement("token_loss_correlation", correlation(np.arange(windows)), low, high, "prompts", windows)


def _dilution(found: Claims) -> Measurement:
    """Where nested lists are forgotten, or why nowhere."""
    points = found.lists
    value = metrics.context_dilution([each.elements for each in points], [each.nested for each in points])
    if not points:
        why = found.why_no_lists
    elif points[0].nested < 0.5:
        why = f"p(right) of nested lists is {points[0].nested:.2f} with {points[0].elements} elements already"
    else:
        why = f"p(right) of nested lists stays at 0.5 or above up to {points[-1].elements} elements"
    return Measurement.or_why("context_dilution", value, why)


def claim_points(found: Claims) -> Iterator[CurvePoint]:
    """The curves: what is lost layer after layer, and how surely lists of each length are closed."""
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
    content = {
        "error_compounding": None if found.errors is None else _curves(found.errors),
        "firing_rates": _firing(found),
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
    """Means over windows, and what one layer at a time adds up to."""
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


def _firing(found: Claims) -> dict[str, Any] | None:
    """The distribution over all features and of each site."""
    if not found.rates:
        return None
    every = np.concatenate(list(found.rates.values()))
    sites = {name: asdict(firing(rates)) for name, rates in found.rates.items()}
    return {"edges": EDGES, "all": asdict(firing(every)), **sites}
