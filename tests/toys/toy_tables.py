"""Tables of a run that was never made: three methods, three seeds and four tasks, and a plug-in with a hostile name."""

from pathlib import Path

from benchmark.records.curves import CURVES, CurveRow
from benchmark.records.table import COSTS, RECORDS, Cost, Record, merge, write_table

HOSTILE = "</script><img src=x onerror=alert(1)>"
"""A name that would run a script if it were not escaped."""

REASON = 'no luck <b onclick="alert(2)">& more</b> `<i>x</i>`'

TASKS = ("for_while", "with_as", "else_elif", "class_init")

SIZES = {"weight_sparse": 8.0, "dense": 80.0, "sae": 100.0}
"""Edges of the circuits for the first task; twice as many for the next, and so on."""

VARIANTS = {"sae": "errors_ablated"}


def rows():
    """The records."""
    for method, size in SIZES.items():
        for seed in range(3):
            own = {"preset": "toy", "method": method, "variant": VARIANTS.get(method, "native"), "seed": seed}
            yield Record(**own, metric="validation_loss", value=2.5 + seed / 100, unit="nats")
            for at, task in enumerate(TASKS):
                circuit = {**own, "graph": "unit", "task": task, "ranking": "mask", "target_loss": 0.15}
                yield Record(**circuit, metric="whole_loss", value=0.01, unit="nats")
                yield Record(**circuit, metric="nodes", value=4.0, ablation="mean")
                for metric in ("edges", "verified_edges"):
                    yield Record(**circuit, metric=metric, value=size * 2**at * (1 + seed / 10), ablation="mean")
                yield Record(**circuit, metric="robust_faithfulness", value=0.5 + seed / 10)
                for ablation, value in {"mean": 0.9, "resample": 0.6}.items():
                    yield Record(**circuit, metric="faithfulness", value=value, ablation=ablation)
    stranger = {"preset": "toy", "method": HOSTILE, "variant": "native", "seed": 0}
    yield Record(**stranger, metric="validation_loss", status="failed", reason=REASON)


def curves():
    """The error of an SAE that grows with the layers."""
    for seed in range(3):
        for series in ("kl", "additive_kl"):
            for x in range(3):
                own = {"preset": "toy", "method": "sae", "variant": "errors_available", "seed": seed}
                value = x * (1.5 if series == "kl" else 1.0) + seed / 10
                yield CurveRow(
                    **own, curve="error_compounding", unit="layers replaced", x=x, series=series, value=value, n=8
                )


def write_toy_tables(folder: Path) -> Path:
    """Write the tables into a folder, without a `run.json`, as versions before there was one did."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / RECORDS, merge([], rows()), Record)
    write_table(folder / CURVES, merge([], curves()), CurveRow)
    costs = [
        Cost(preset="toy", method="dense", seed=seed, kind="train", seconds=90.0, peak_mib=512.0) for seed in range(3)
    ]
    write_table(folder / COSTS, merge([], costs), Cost)
    return folder
