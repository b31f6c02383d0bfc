"""Records of made-up results, for what is drawn and written from the tables of a run."""

from pathlib import Path

from benchmark.leaderboard.ranking import Board, Rules
from benchmark.records.table import Measurement, Record
from benchmark.report.figures import Tables

RULES = Rules(
    references=("weight_sparse", "dense"),
    controls=frozenset({"random_weights"}),
    unranked=frozenset({("sae", "errors_available")}),
    largest_size=10_000,
)


def row(metric, value, *, method, variant="native", seed=0, **where):
    """A record of a value, or of a status if it is a text."""
    told = {"status": value, "reason": "it is so"} if isinstance(value, str) else {"value": value}
    limits = {name: where.pop(name) for name in ("low", "high", "interval") if name in where}
    of = {name: where.pop(name) for name in ("concept", "ablation") if name in where}
    measured = Measurement(metric, **told, **limits, **of)
    return Record.of(measured, preset="quick", method=method, variant=variant, seed=seed, **where)


def circuits(method, sizes, *, seed=0, variant="native", loss=2.0, faithful=0.9):
    """A method's validation loss and its circuits: edges by task, a status where the target is not reached."""
    same = {"method": method, "variant": variant, "seed": seed}
    rows = [row("validation_loss", loss, **same)]
    for task, size in sizes.items():
        where = {**same, "graph": "unit", "task": task, "ranking": "mask", "ablation": "mean", "target_loss": 0.15}
        rows += [row("whole_loss", 0.01, **where)]
        rows += [row(name, size, **where) for name in ("nodes", "edges", "verified_edges")]
        score = faithful if not isinstance(size, str) else size
        rows += [row("faithfulness", score, **where)]
        rows += [row("robust_faithfulness", score, **{**where, "ablation": ""})]
    return rows


def tables(records, folder=Path("results")):
    """The tables of a folder with these records alone."""
    return Tables(Path(folder), Board("quick", records, RULES))
