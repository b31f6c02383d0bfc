"""The command `bench`; each subcommand has a file of its own and imports what it needs when it is called."""

import sys
from io import TextIOWrapper

import click

from benchmark.cli.audit import audit
from benchmark.cli.claims import claims
from benchmark.cli.compare import compare
from benchmark.cli.errors import OneLineGroup
from benchmark.cli.export import export
from benchmark.cli.forms import forms
from benchmark.cli.growth import growth
from benchmark.cli.leave_one_out import leave_one_out
from benchmark.cli.list import list_
from benchmark.cli.match import match
from benchmark.cli.plan import plan
from benchmark.cli.plot import plot
from benchmark.cli.records import records
from benchmark.cli.regret import regret
from benchmark.cli.report import report
from benchmark.cli.run import run
from benchmark.cli.show import show
from benchmark.cli.speed import speed
from benchmark.cli.store import store
from benchmark.cli.sweep import sweep
from benchmark.cli.variance import variance


@click.group(cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sparse-circuit-bench", prog_name="bench")
def main() -> None:
    """Compare the circuits of weight-sparse transformers, SAEs, transcoders and CLTs.

    `bench run --method all` trains every method, discovers and scores its circuits, and writes the leaderboard.

    Exit codes: 0 success, 1 a cell failed, 2 bad usage, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # tokens are any text, terminals are not


for command in (
    run,
    plan,
    list_,
    match,
    forms,
    show,
    report,
    plot,
    export,
    claims,
    compare,
    sweep,
    variance,
    regret,
    leave_one_out,
    audit,
    speed,
    growth,
    store,
    records,
):
    main.add_command(command)
