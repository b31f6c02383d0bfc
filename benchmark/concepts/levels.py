"""The clauses that begin and end at one level of brackets, such as a lambda or the value of an argument."""

import re
from keyword import iskeyword
from typing import NamedTuple

from benchmark.concepts.bindings import OPERANDS
from benchmark.concepts.brackets import Role, role_of
from benchmark.concepts.lexer import Token

(
    ASSIGNED,
    CONDITION,
    FOR_TARGET,
    FOR_ITERABLE,
    COMPREHENSION,
    LAMBDA,
    TERNARY,
    DICT_VALUE,
    KEYWORD_ARGUMENT,
    DEFAULT,
    ANNOTATION,
    BASES,
    METHOD,
) = (1 << bit for bit in range(13))
"""A bit for each kind of clause; `METHOD` says that the innermost open call is of an attribute."""

CALLED = ("print", "len", "range", "enumerate", "open", "isinstance", "add", "write")
"""Names of functions whose calls are told apart."""

KEYWORDS = re.compile("lambda|for|in|if|elif|while")
"""The words that begin or end a clause; none is the beginning of another."""

AUGMENTED = ("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", "**=", "//=", "<<=", ">>=")

OPERAND = LAMBDA | TERNARY
ITEM = OPERAND | DICT_VALUE | KEYWORD_ARGUMENT | DEFAULT | ANNOTATION
HEADER = CONDITION | FOR_TARGET | FOR_ITERABLE


class Level(NamedTuple):
    """What is open between two brackets, or in a statement outside all brackets.

    Attributes:
        role: What the bracket encloses; empty outside all brackets.
        around: Clauses that the bracket is in.
        own: Clauses that began at this level.
        lambdas: Number of lambdas at this level whose colon has not come.
        targets: Whether it is between a `for` and its `in`.
        argument: Number of the argument of the innermost call, from 1; 0 outside calls.
        called: Index in `CALLED` of the function of the innermost call, plus 1; 0 for any other.
    """

    role: Role | None
    around: int = 0
    own: int = 0
    lambdas: int = 0
    targets: bool = False
    argument: int = 0
    called: int = 0


def beginning(token: Token) -> str:
    """The word or sign at the beginning of a token that may begin or end a clause; empty if there is none."""
    if token.kind == "name":
        found = KEYWORDS.match(token.text)
        return found[0] if found else ""
    if token.kind != "operator":
        return ""
    return token.text if token.text in AUGMENTED else token.text[0] if token.text[0] in "=:,;" else ""


def ends_expression(token: Token) -> bool:
    """Whether an expression may end with a token; `async` counts, because `for` follows it."""
    if token.kind == "name" and iskeyword(token.text):
        return token.text in ("True", "False", "None", "async")
    return token.kind in (*OPERANDS, "number")


def opened(token: Token, previous: Token, before: Token, level: Level) -> Level:
    """The level inside an opening bracket; `level` is the one around it."""
    role, around = role_of(token, previous, before), level.around | level.own
    argument, called = level.argument, level.called
    if role == "call":
        argument, called = 1, CALLED.index(previous.text) + 1 if previous.text in CALLED else 0
        around = around | METHOD if previous.kind == "name" and before.text == "." else around & ~METHOD
    elif role == "bases":
        around |= BASES
    return Level(role, around, argument=argument, called=called)


def after(level: Level, part: str, begins: bool, continues: bool) -> Level:
    """The level after a word or sign.

    Args:
        level: The level before it.
        part: The word or sign.
        begins: Whether it is the first word of its logical line.
        continues: Whether it follows what may be a complete expression.
    """
    outside = level.role is None
    match part:
        case "lambda":
            return level._replace(own=level.own | LAMBDA, lambdas=level.lambdas + 1)
        case "for" if begins or (continues and not outside):
            began = FOR_TARGET if outside else COMPREHENSION
            return level._replace(own=level.own & ~ITEM | began, targets=True)
        case "in" if level.targets and continues:
            iterable = FOR_ITERABLE if outside else 0
            return level._replace(own=level.own & ~FOR_TARGET | iterable, targets=False)
        case "if" | "elif" | "while" if begins and outside:
            return level._replace(own=level.own | CONDITION)
        case "if" if continues and not level.own & COMPREHENSION:
            return level._replace(own=level.own | TERNARY)
        case ":" if level.lambdas:
            return level._replace(lambdas=level.lambdas - 1)
        case ":":
            began = {"braces": DICT_VALUE, "signature": ANNOTATION}.get(level.role or "", 0)
            return level._replace(own=level.own & ~OPERAND & ~HEADER | began, targets=False)
        case "," if not level.lambdas and not level.targets:
            return level._replace(own=level.own & ~ITEM, argument=level.argument + (level.role == "call"))
        case ";" if outside:
            return Level(None)
        case "=" if not level.lambdas and level.role in (None, "call", "signature"):
            began = {"call": KEYWORD_ARGUMENT, "signature": DEFAULT}.get(level.role or "", ASSIGNED)
            return level._replace(own=level.own & ~ANNOTATION | began)
        case _ if part in AUGMENTED and outside:
            return level._replace(own=level.own | ASSIGNED)
    return level
