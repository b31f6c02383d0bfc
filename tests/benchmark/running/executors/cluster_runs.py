"""Runs of toy cells on an engine, and what they leave."""

from toy_display import Diary

from benchmark.running.execution import execute
from benchmark.running.executors import executor_named


def run(name, cells, store, workers=2, stop=lambda: False, **options):
    diary = Diary()
    outcomes = execute(cells, store, executor_named(name, store, workers, "cpu"), diary, stop_requested=stop, **options)
    return outcomes, diary


def reasons(outcomes):
    return {outcome.cell.params["name"]: outcome.reason for outcome in outcomes}


def leftovers(store):
    return [path for kind in ("partial", "ray", "slurm", "leases") for path in (store.root / kind).glob("[!.]*")]
