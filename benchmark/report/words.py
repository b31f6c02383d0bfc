"""How numbers and counted things are written in text and on the page."""

import math
from collections.abc import Sequence

LARGEST_EXPONENT = 700.0
"""Logs above this are ratios that no float can hold."""

NONE = "\N{EN DASH}"
"""What stands in the place of a number that there is not."""


def plural(noun: str) -> str:
    """`seeds` for `seed`, `families` for `family`."""
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {noun if number == 1 else plural(noun)}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def short(value: float | int | None, decimals: int | None = None) -> str:
    """A number with a proper minus, and a dash for none.

    Args:
        value: The number.
        decimals: Digits after the point; if left out, three digits, or all digits before the point of a larger one.
    """
    if value is None or not math.isfinite(value):
        return NONE
    if decimals is not None:
        text = f"{value:,.{decimals}f}"
    else:
        text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return with_minus(text)


def limits(low: float | None, high: float | None, decimals: int | None = None) -> str:
    """`[0.57, 0.99]`; empty without an interval."""
    known = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    return f"[{short(low, decimals)}, {short(high, decimals)}]" if known else ""


def with_minus(text: str) -> str:
    """A number with a minus sign in place of a hyphen."""
    return text.replace("-", "\N{MINUS SIGN}")
