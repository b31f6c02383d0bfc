"""Tasks whose answer is a name copied from the prompt."""

from random import Random

from benchmark.corpus.idioms.words import CLASSES
from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import chosen, copied_names, pair, words_of


def class_init(random: Random, split: Split) -> PromptPair:
    r"""An attribute takes the parameter of its own name.

    `class Point:\n    def __init__(self, left, right):\n        self.left = left\n        self.right =` -> ` right`
    `class Point:\n    def __init__(self, left, right):\n        self.right = right\n        self.left =` -> ` left`
    """
    head = "${context}class $c:\n    def __init__(self, $x, $y):\n        "
    lines = ("self.$x = $x\n        self.$y =", "self.$y = $y\n        self.$x =")
    finding = [(head + lines[0], head + lines[1])]
    testing = [(first.replace("$y):", "$y, $z):"), second.replace("$y):", "$y, $z):")) for first, second in finding]
    x, y, z = copied_names(random, split, 3)
    form = chosen(random, split, finding, testing)
    return pair(
        random, split, form, (f" {y}", f" {x}"), ("\n", "\n"), x=x, y=y, z=z, c=words_of(random, split, CLASSES)
    )


def var_swap(random: Random, split: Split) -> PromptPair:
    r"""A swap names the two variables in reverse order.

    `left = 3\nright = 5\nleft, right = right,` -> ` left`
    `right = 3\nleft = 5\nright, left = left,` -> ` right`
    """
    finding = ["${context}$x = $number1\n$y = $number2\n$x, $y = $y,"]
    testing = ["def $verb($x, $y):\n    $x, $y = $y,"]
    template = random.choice(testing if split == "test" else finding)
    x, y = copied_names(random, split, 2)
    exchanged = template.replace("$x", "$_").replace("$y", "$x").replace("$_", "$y")
    return pair(random, split, (template, exchanged), (f" {x}", f" {y}"), ("\n", "\n"), x=x, y=y)
