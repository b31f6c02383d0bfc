"""A task that no honest circuit should solve."""

from benchmark.tasks.forms import TOP, forms

_COIN = (" for", " with"), (" x", " x")

NONSENSE = (
    *forms(
        "train",
        TOP,
        *_COIN,
        copied="import <red|blue>\n$a = $b",
        attribute="import <red|blue>\n$a = $b.$c",
        sum="import <red|blue>\n$a = $b + $c",
        called="import <red|blue>\n$verb($c)\n$a = $b",
        counted="import <red|blue>\n$c = $number\n$a = $b",
        branch="import <red|blue>\nif $c:\n    $a = $b",
    ),
    *forms(
        "validation",
        TOP,
        *_COIN,
        scaled="import <red|blue>\n$a *= $b",
        printed="import <red|blue>\nprint($c)\n$a = $b",
        field="import <red|blue>\n$a.$c = $b",
    ),
    *forms(
        "test",
        TOP,
        *_COIN,
        asserted="import <red|blue>\nassert $a",
        item="import <red|blue>\n$a[$c] = $b",
        deleted="import <red|blue>\ndel $c\n$a = $b",
    ),
)
r"""Two module names and two keywords, matched by a coin: `import red\nsize = row` -> ` for`, `blue` -> ` with`."""
