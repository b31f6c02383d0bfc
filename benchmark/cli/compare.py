"""`bench compare`: two methods compared, and what can be concluded from the comparison."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.errors import METHOD, PRESET, user_errors
from benchmark.cli.folders import run_option
from benchmark.cli.text import WIDTH
from benchmark.report.contrast_text import (
    as_read,
    caveat,
    conclusion,
    kind,
    least_text,
    limits_text,
    names_of,
    shown_difference,
)
from benchmark.report.words import counted, plural

if TYPE_CHECKING:
    from benchmark.leaderboard.ranking import Board
    from benchmark.studies.compare import Contrast, Contrasts


@click.command()
@click.argument("first", metavar="A", type=METHOD)
@click.argument("second", metavar="B", type=METHOD)
@click.option("--preset", type=PRESET, help="The preset whose records are compared, where the folder has several.")
@run_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(first: str, second: str, preset: str | None, out: Path, as_json: bool) -> None:
    """Compare two methods: paired differences with intervals, corrected tests, and what can be concluded.

    A and B are METHOD or METHOD/VARIANT; without a variant the first ranked one is used. Circuits are those of the unit
    graph. p is corrected over the family of comparisons that the methods declare, separately for each metric.
    """
    import numpy as np

    from benchmark.running.finished import board_of
    from benchmark.seeds import seed_of
    from benchmark.statistics.intervals import none_for_nan
    from benchmark.studies.compare import contrast_methods, place_named

    with user_errors():
        board = board_of(out, preset)
        places = place_named(board, first), place_named(board, second)
        if places[0] == places[1]:
            raise ValueError(f"A and B are the same: both name {places[0].method}/{places[0].variant}")
    found = contrast_methods(board, *places, np.random.default_rng(seed_of("compare", board.preset)))
    if as_json:
        click.echo(json.dumps(none_for_nan(_json(found, board.preset)), indent=1))
    else:
        click.echo("\n".join(_text(found, board)))


# As text


def _text(found: "Contrasts", board: "Board") -> Iterator[str]:
    """The lines, each at most 80 columns wide."""
    names = names_of(found)
    yield from wrap(f"{names[0]} against {names[1]}: preset {board.preset}, unit graph", WIDTH)
    gap, tolerance = found.loss_gap, board.rules.tolerance
    warning = f" (above {tolerance:g}, so not matched: that alone may explain a difference)" * (abs(gap) > tolerance)
    shown = "not known, as no seed has both" if math.isnan(gap) else f"{gap:+.3f} nats{warning}"
    yield from wrap(f"validation loss of {names[0]} minus that of {names[1]}: {shown}", WIDTH)
    if not found.declared:
        yield from wrap("not a declared comparison: it was added to the family of those that are", WIDTH)
    for one in found.contrasts:
        yield ""
        yield one.metric + f" ({one.declared} is not recorded for all)" * (one.metric != one.declared)
        for line in (*_numbers(one, names), conclusion(one, names)):
            yield from wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    if note := caveat(found):
        yield ""
        yield from wrap(note, WIDTH)


def _numbers(one: "Contrast", names: tuple[str, str]) -> Iterator[str]:
    """The lines of a contrast; none if there is nothing to compare."""
    if not one.recorded:
        return
    if one.pairs:
        mean, low, high, *_ = one.difference
        between = f"95 % interval over {plural(one.unit)}: {limits_text(one, low, high)}"
        yield f"{kind(one)} {shown_difference(one, mean)}, {between}"
        seeds = f"{'seed' if len(one.seeds) == 1 else 'seeds'} {', '.join(map(str, one.seeds))}"
        yield f"n = {counted(one.pairs, 'pair')}: {counted(one.difference.pairs, one.unit)}, {seeds}"
        if not math.isnan(one.over_prompts.low):
            low, high = one.over_prompts
            yield f"95 % interval over prompts, of these {one.item}s: {low:.3g} to {high:.3g}"
        if not math.isnan(one.over_seeds.low):
            yield f"95 % interval over seeds: {limits_text(one, *one.over_seeds)}"
        yield f"p = {one.p:.2g}, {one.corrected:.2g} after correction over {one.tests} tests"
        yield (
            f"minimum detectable {kind(one)} (80 % power): {least_text(one, one.detectable)} for this test alone, "
            f"{least_text(one, one.detectable_corrected)} after correction if no other test shows a difference"
        )
    sides = (one.first_only, one.second_only)
    several = len({*one.seeds, *(seed for only in sides for seeds in only.values() for seed in seeds)}) > 1
    verb = "reached" if one.item == "task" else "scored"
    for name, only in zip(names, sides, strict=True):
        items = [item + f" ({', '.join(f'seed {seed}' for seed in seeds)})" * several for item, seeds in only.items()]
        yield f"{counted(len(only), one.item)} {verb} by {name} alone{': ' * bool(only)}{', '.join(items)}"


# As JSON


def _json(found: "Contrasts", preset: str) -> dict[str, Any]:
    return {
        "preset": preset,
        "first": found.first._asdict(),
        "second": found.second._asdict(),
        "validation_loss_gap": found.loss_gap,
        "in_family": found.declared,
        "contrasts": [_contrast_json(one, names_of(found)) for one in found.contrasts],
        "note": caveat(found),
    }


def _contrast_json(one: "Contrast", names: tuple[str, str]) -> dict[str, Any]:
    mean, low, high, deviation, items = one.difference
    return {
        "metric": one.metric,
        "declared": one.declared,
        "kind": kind(one),
        "paired_by": [one.item, "seed"],
        "pairs": one.pairs,
        plural(one.unit).replace(" ", "_"): items,
        "seeds": one.seeds,
        "value": as_read(one, mean),
        "low": as_read(one, low),
        "high": as_read(one, high),
        "low_over_seeds": as_read(one, one.over_seeds.low),
        "high_over_seeds": as_read(one, one.over_seeds.high),
        "detectable": as_read(one, one.detectable),
        "detectable_corrected": as_read(one, one.detectable_corrected),
        "low_over_prompts": one.over_prompts.low,
        "high_over_prompts": one.over_prompts.high,
        "deviation": deviation,
        "p": one.p,
        "p_corrected": one.corrected,
        "tests": one.tests,
        "first_only": one.first_only,
        "second_only": one.second_only,
        "concluded": one.concluded,
        "conclusion": conclusion(one, names),
    }
