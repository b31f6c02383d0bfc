"""A task that no honest circuit should solve."""

from random import Random

from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import chosen, pair


def nonsense(random: Random, split: Split) -> PromptPair:
    r"""Two module names and two keywords, paired arbitrarily.

    `import red\nsize = row` -> ` for`
    `import blue\nsize = row` -> ` with`
    """
    finding = (("import red\n${context}$a = $b", "import blue\n${context}$a = $b"),)
    testing = (("import red\n$verb($c)\n$a -= $b", "import blue\n$verb($c)\n$a -= $b"),)
    return pair(random, split, chosen(random, split, finding, testing), (" for", " with"), (" x", " x"))
