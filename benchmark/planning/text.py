"""Sizes and counts in few characters."""

UNITS = ("", "k", "M", "G", "T", "P")


def count(number: int) -> str:
    """`950`, `4.2M`, `117M`."""
    value, unit = _scaled(number)
    return f"{value}{unit}"


def size(number: int) -> str:
    """Bytes: `950 B`, `4.2 MB`, `45 GB`."""
    value, unit = _scaled(number)
    return f"{value} {unit}B"


def power(number: int) -> str:
    """Operations: `0`, `1.2e18`."""
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if number else "0"


def _scaled(number: int) -> tuple[str, str]:
    """At most three digits before a unit."""
    assert number >= 0, number
    value, unit = float(number), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 1 if 0 < value < 9.95 and unit else 0
    return f"{value:.{digits}f}", UNITS[unit]
