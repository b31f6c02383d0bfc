"""`bench compare`: two methods compared, and what can be concluded from the comparison."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.errors import METHOD, PRESET, user_errors
from benchmark.cli.folders import FOLDER
from benchmark.cli.text import LARGEST_EXPONENT, WIDTH, counted, plural

if TYPE_CHECKING:
    from benchmark.leaderboard.ranking import Board, EntryKey
    from benchmark.studies.compare import Contrast, Contrasts


@click.command()
@click.argument("first", metavar="A", type=METHOD)
@click.argument("second", metavar="B", type=METHOD)
@click.option("--preset", type=PRESET, help="The preset whose records are compared, where the folder has several.")
@click.option("--out", default="results", show_default=True, type=FOLDER, help="Folder of a run.")
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
    names = _names(found)
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
        for line in (*_numbers(one, names), _conclusion(one, names)):
            yield from wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    if note := _note(found):
        yield ""
        yield from wrap(note, WIDTH)


def _names(found: "Contrasts") -> tuple[str, str]:
    """The methods as one types them; a transformer's only variant goes without saying."""

    def name(place: "EntryKey") -> str:
        return place.method if place.variant == "native" else f"{place.method}/{place.variant}"

    return name(found.first), name(found.second)


def _numbers(one: "Contrast", names: tuple[str, str]) -> Iterator[str]:
    """The lines of a contrast; none if there is nothing to compare."""
    if not one.recorded:
        return
    if one.pairs:
        mean, low, high, *_ = one.difference
        yield f"{_kind(one)} {_shown(one, mean)}, 95 % interval over {plural(one.unit)}: {_range(one, low, high)}"
        seeds = f"{'seed' if len(one.seeds) == 1 else 'seeds'} {', '.join(map(str, one.seeds))}"
        yield f"n = {counted(one.pairs, 'pair')}: {counted(one.difference.pairs, one.unit)}, {seeds}"
        if not math.isnan(one.over_prompts.low):
            low, high = one.over_prompts
            yield f"95 % interval over prompts, of these {one.item}s: {low:.3g} to {high:.3g}"
        if not math.isnan(one.over_seeds.low):
            yield f"95 % interval over seeds: {_range(one, *one.over_seeds)}"
        yield f"p = {one.p:.2g}, {one.corrected:.2g} after correction over {one.tests} tests"
        yield (
            f"minimum detectable {_kind(one)} (80 % power): {_least(one, one.detectable)} for this test alone, "
            f"{_least(one, one.detectable_corrected)} after correction"
        )
    sides = (one.first_only, one.second_only)
    several = len({*one.seeds, *(seed for only in sides for seeds in only.values() for seed in seeds)}) > 1
    verb = "reached" if one.item == "task" else "scored"
    for name, only in zip(names, sides, strict=True):
        items = [item + f" ({', '.join(f'seed {seed}' for seed in seeds)})" * several for item, seeds in only.items()]
        yield f"{counted(len(only), one.item)} {verb} by {name} alone{': ' * bool(only)}{', '.join(items)}"


def _kind(one: "Contrast") -> str:
    return "ratio" if one.is_ratio else "difference"


def _number(one: "Contrast", difference: float) -> float:
    """A difference as people read it: between logs, a ratio."""
    if not one.is_ratio or math.isnan(difference):
        return difference
    return math.exp(difference) if abs(difference) < LARGEST_EXPONENT else math.nan


def _shown(one: "Contrast", difference: float) -> str:
    number = _number(one, difference)
    return f"{number:.3g}" if one.is_ratio else f"{number:+.3f}"


def _least(one: "Contrast", difference: float) -> str:
    """The smallest difference that could be found, or `none`."""
    return "none" if math.isnan(difference) else f"{_number(one, difference):.2g}"


def _range(one: "Contrast", low: float, high: float) -> str:
    if math.isnan(low):
        return "not known, as there are fewer than three"
    return f"{_shown(one, low)} to {_shown(one, high)}"


def _conclusion(one: "Contrast", names: tuple[str, str]) -> str:
    """What can be concluded, in one sentence."""
    if not one.recorded:
        return f"Nothing can be concluded: neither has a value of {one.metric}."
    if not one.pairs:
        return f"Nothing can be concluded: no {one.item} has a value for both."
    corrected = f"p = {one.corrected:.2g} after correction"
    if one.concluded:
        higher = one.difference.mean > 0
        better = names[0] if higher != one.is_ratio else names[1]
        what = "the smaller circuits" if one.is_ratio else f"the higher {one.metric}"
        return f"{better} has {what}: {corrected}."
    if one.significant:
        return (
            f"No difference between the methods can be concluded: {corrected}, but the interval over "
            f"{len(one.seeds)} seeds includes none."
        )
    items = counted(one.difference.pairs, one.unit)
    if math.isnan(one.detectable_corrected):
        power = f"cannot show any: {one.tests} tests need at least {counted(one.fewest, one.unit)}"
    else:
        power = f"could show a {_kind(one)} of at least {_least(one, one.detectable_corrected)}"
    return f"No difference can be concluded: {corrected}; {items} {power}."


def _note(found: "Contrasts") -> str:
    """The caveat that few training seeds call for, however many tasks there are."""
    count = len(found.seeds)
    if not count or count >= 3:
        return ""
    seeds = "one training seed" if count == 1 else f"{count} training seeds, too few for an interval"
    return f"{seeds}: this is about these trained models, not about the methods"


# As JSON


def _json(found: "Contrasts", preset: str) -> dict[str, Any]:
    return {
        "preset": preset,
        "first": found.first._asdict(),
        "second": found.second._asdict(),
        "validation_loss_gap": found.loss_gap,
        "in_family": found.declared,
        "contrasts": [_contrast_json(one, _names(found)) for one in found.contrasts],
        "note": _note(found),
    }


def _contrast_json(one: "Contrast", names: tuple[str, str]) -> dict[str, Any]:
    mean, low, high, deviation, items = one.difference
    return {
        "metric": one.metric,
        "declared": one.declared,
        "kind": _kind(one),
        "paired_by": [one.item, "seed"],
        "pairs": one.pairs,
        plural(one.unit).replace(" ", "_"): items,
        "seeds": one.seeds,
        "value": _number(one, mean),
        "low": _number(one, low),
        "high": _number(one, high),
        "low_over_seeds": _number(one, one.over_seeds.low),
        "high_over_seeds": _number(one, one.over_seeds.high),
        "detectable": _number(one, one.detectable),
        "detectable_corrected": _number(one, one.detectable_corrected),
        "low_over_prompts": one.over_prompts.low,
        "high_over_prompts": one.over_prompts.high,
        "deviation": deviation,
        "p": one.p,
        "p_corrected": one.corrected,
        "tests": one.tests,
        "first_only": one.first_only,
        "second_only": one.second_only,
        "concluded": one.concluded,
        "conclusion": _conclusion(one, names),
    }
