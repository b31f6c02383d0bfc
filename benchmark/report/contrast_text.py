"""What can be concluded from a comparison of two methods, in words."""

import math
from typing import TYPE_CHECKING

from benchmark.report.words import LARGEST_EXPONENT, counted

if TYPE_CHECKING:
    from benchmark.leaderboard.ranking import EntryKey
    from benchmark.studies.compare import Contrast, Contrasts


def names_of(found: "Contrasts") -> tuple[str, str]:
    """The methods as one types them; a transformer's only variant goes without saying."""

    def name(place: "EntryKey") -> str:
        return place.method if place.variant == "native" else f"{place.method}/{place.variant}"

    return name(found.first), name(found.second)


def kind(one: "Contrast") -> str:
    """What the difference of a contrast is: a ratio for sizes."""
    return "ratio" if one.is_ratio else "difference"


def as_read(one: "Contrast", difference: float) -> float:
    """A difference as people read it: between logs, a ratio."""
    if not one.is_ratio or math.isnan(difference):
        return difference
    return math.exp(difference) if abs(difference) < LARGEST_EXPONENT else math.nan


def shown_difference(one: "Contrast", difference: float) -> str:
    """A difference in three digits."""
    number = as_read(one, difference)
    return f"{number:.3g}" if one.is_ratio else f"{number:+.3f}"


def least_text(one: "Contrast", difference: float) -> str:
    """The smallest difference that could be found, or `none`."""
    return "none" if math.isnan(difference) else f"{as_read(one, difference):.2g}"


def limits_text(one: "Contrast", low: float, high: float) -> str:
    """An interval of the difference, or why there is none."""
    if math.isnan(low):
        return "not known, as there are fewer than three"
    return f"{shown_difference(one, low)} to {shown_difference(one, high)}"


def conclusion(one: "Contrast", names: tuple[str, str]) -> str:
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
        but = "" if math.isnan(one.detectable) else " unless other tests do"
        power = f"cannot show any{but}: {one.tests} tests need at least {counted(one.fewest, one.unit)}"
    else:
        power = f"could show a {kind(one)} of at least {least_text(one, one.detectable_corrected)}"
    return f"No difference can be concluded: {corrected}; {items} {power}."


def caveat(found: "Contrasts") -> str:
    """The caveat that few training seeds call for, however many tasks there are."""
    count = len(found.seeds)
    if not count or count >= 3:
        return ""
    seeds = "one training seed" if count == 1 else f"{count} training seeds, too few for an interval"
    return f"{seeds}: this is about these trained models, not about the methods"
