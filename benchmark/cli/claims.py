"""`bench claims`: published claims about sparse circuits with numbers and verdicts, and how ablations order methods."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.errors import PRESET, user_errors
from benchmark.cli.folders import run_option
from benchmark.cli.text import WIDTH

if TYPE_CHECKING:
    from benchmark.studies.ablation_comparison import Under
    from benchmark.studies.verdicts import AtPoint, Claim, Criterion, Finding


@click.command()
@click.option("--preset", type=PRESET, help="The preset whose records are judged, where the folder has several.")
@run_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def claims(preset: str | None, out: Path, as_json: bool) -> None:
    """Judge the claims about sparse circuits: a number, its interval and a verdict for each.

    Below them the faithfulness of circuits under each ablation, and their agreement with the whole model off the task's
    prompts, with Kendall's tau of the methods' order. Reads only the records and `sweep.csv`, which `bench run` and
    `bench sweep` write.
    """
    from benchmark.running.finished import board_of
    from benchmark.statistics.intervals import none_for_nan
    from benchmark.studies.ablation_comparison import under_ablations, under_shifts
    from benchmark.studies.frontier import read_sweep
    from benchmark.studies.verdicts import findings

    with user_errors():
        board = board_of(out, preset)
        sweep = [row for row in read_sweep(out) if row.preset == board.preset]
    judged = findings(board, sweep)
    tables = {"faithfulness under": under_ablations(board), "agreement under": under_shifts(board)}
    if as_json:
        found = {"claims": _claims_json(judged), **{name: _table_json(rows) for name, rows in tables.items()}}
        click.echo(json.dumps(none_for_nan(found), indent=1))
    else:
        lines = [*_claims(judged), *(line for name, rows in tables.items() for line in _table(name, rows))]
        click.echo("\n".join(lines))


def _claims(judged: "Sequence[tuple[Claim, list[Finding]]]") -> Iterator[str]:
    """A block per claim: its sentence, and a line per criterion with the reason below if nothing is decided."""
    for claim, found in judged:
        yield from wrap(claim.sentence, WIDTH)
        for criterion, finding in zip(claim.criteria, found, strict=True):
            low, high = finding.interval
            limits = "" if math.isnan(low) else f"[{low:.3g}, {high:.3g}]"
            value = "?" if math.isnan(finding.value) else f"{finding.value:.3g}"
            yield f"  {criterion.of:<38}{value:>8} {limits:<18}{finding.verdict:>12}"
            if finding.reason:
                yield from wrap(finding.reason, WIDTH, initial_indent="    ", subsequent_indent="      ")
        yield ""


def _table(name: str, rows: "Sequence[Under]") -> Iterator[str]:
    """A column per method, Kendall's tau in the last one."""
    methods = list(dict.fromkeys(place.method for row in rows for place in row.scores))
    if not methods:
        return
    yield f"{name:<19}" + "".join(f"{_short(method):>9}" for method in methods) + f"{'tau':>7}"
    for row in rows:
        by_method = {place.method: score for place, score in row.scores.items()}
        cells = "".join(f"{by_method[method]:>9.2f}" if method in by_method else f"{'-':>9}" for method in methods)
        yield f"  {row.name:<17}{cells}" + ("" if math.isnan(row.tau) else f"{row.tau:>7.2f}")
    yield from ("  tau: Kendall's, with the order by faithfulness under the finder's ablation", "")


def _short(method: str) -> str:
    """A name in at most eight letters; the first word of a longer one is reduced to its first letter."""
    first, _, rest = method.partition("_")
    return f"{first[0]}_{rest}"[:8] if len(method) > 8 and rest else method[:8]


def _claims_json(judged: "Sequence[tuple[Claim, list[Finding]]]") -> list[dict[str, Any]]:
    def plain(criterion: "Criterion | AtPoint", finding: "Finding") -> dict[str, Any]:
        told = {"seeds": finding.seeds, "verdict": finding.verdict, "reason": finding.reason}
        return {**asdict(criterion), "value": finding.value, **finding.interval._asdict(), **told}

    return [{"claim": claim.sentence, "findings": list(map(plain, claim.criteria, found))} for claim, found in judged]


def _table_json(rows: "Sequence[Under]") -> list[dict[str, Any]]:
    return [
        {"name": row.name, "scores": {"/".join(place): score for place, score in row.scores.items()}, "tau": row.tau}
        for row in rows
    ]
