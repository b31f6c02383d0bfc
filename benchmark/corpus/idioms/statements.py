"""Statements of one or two lines: assignments, literals, calls, messages."""

from benchmark.corpus.idioms.scope import Lines, Scope
from benchmark.corpus.idioms.words import ADJECTIVES, VERBS

BOOLEANS = ("True", "False", "None")
OPERATORS = ("+", "-", "*", "/")
CALLERS = ("print", "print", "print", "log", "warn", "show", "send")


def assign_number(scope: Scope) -> Lines:
    """`count = 3`."""
    return [f"{scope.bind()} = {scope.number()}"]


def assign_string(scope: Scope) -> Lines:
    """`title = "page ready"`."""
    return [f"{scope.bind()} = {scope.string()}"]


def assign_flag(scope: Scope) -> Lines:
    """`ready = True`, `ready = False`, `ready = None`."""
    flag = scope.name() if scope.chance() < 0.8 else scope.pick(ADJECTIVES)
    return [f"{flag} = {'True' if scope.chance() < 0.6 else scope.pick(BOOLEANS)}"]


def assign_sum(scope: Scope) -> Lines:
    """`total = count + 1`."""
    left, right = scope.known(), scope.known() if scope.chance() < 0.5 else scope.number()
    return [f"{scope.bind()} = {left} {scope.pick(OPERATORS)} {right}"]


def assign_name(scope: Scope) -> Lines:
    """`item = entry`, `item = entry.price`."""
    source = scope.known()
    return [f"{scope.bind()} = {source}" if scope.chance() < 0.5 else f"{scope.bind()} = {source}.{scope.noun()}"]


def assign_call(scope: Scope) -> Lines:
    """`rows = load(path)`, `size = len(rows)`."""
    function = "len" if scope.chance() < 0.2 else scope.function()
    argument = scope.known()
    return [f"{scope.bind()} = {function}({argument})"]


def assign_conditional(scope: Scope) -> Lines:
    """`size = low if ready else high`."""
    kept = scope.known() if scope.chance() < 0.7 else scope.number()
    return [f"{scope.bind()} = {kept} if {scope.name()} else {scope.name()}"]


def assign_lambda(scope: Scope) -> Lines:
    """`price = lambda item: item.cost`."""
    argument = scope.noun()
    body = scope.pick(
        (f"{argument}.{scope.noun()}", f"{argument} + {scope.number()}", f"{scope.function()}({argument})")
    )
    return [f"{scope.bind()} = lambda {argument}: {body}"]


def augment(scope: Scope) -> Lines:
    """`count += 1`."""
    return [f"{scope.known()} {scope.pick(('+=', '-='))} {scope.number()}"]


def call(scope: Scope) -> Lines:
    """`save(rows)`, `rows.append(row)`."""
    if scope.chance() < 0.4:
        return [f"{scope.known()}.{scope.pick(('append', 'update', 'remove', 'extend'))}({scope.known()})"]
    arguments = ", ".join(scope.known() for _ in range(1 + int(scope.chance() * 2)))
    return [f"{scope.function()}({arguments})"]


def message(scope: Scope) -> Lines:
    """`print("page missing")`: a call with one plain string."""
    if scope.chance() < 0.2:
        return [f"{scope.known()}.{scope.pick(VERBS)}({scope.string()})"]
    return [f"{scope.pick(CALLERS)}({scope.string()})"]


def formatted_message(scope: Scope) -> Lines:
    """`print(f"page is {page}")`: an f-string, which always ends in a name."""
    mark = scope.mark()
    return [f"{scope.pick(CALLERS)}(f{mark}{scope.phrase()} {{{scope.known()}}}{mark})"]


def swap(scope: Scope) -> Lines:
    """`left, right = right, left`, with or without the two bindings before it."""
    first, second = scope.copied(2)
    scope.names += (first, second)
    exchange = f"{first}, {second} = {second}, {first}"
    if scope.chance() < 0.3:
        return [exchange]
    return [f"{first} = {scope.number()}", f"{second} = {scope.number()}", exchange]


def numbers(scope: Scope, low: int, high: int) -> str:
    """`3, 5, 8`: from `low` to `high` numbers."""
    return ", ".join(scope.number() for _ in range(low + int(scope.chance() * (high - low + 1))))


def number_list(scope: Scope) -> Lines:
    """`sizes = [3, 5, 8]`."""
    return [f"{scope.bind()} = [{numbers(scope, 2, 8)}]"]


def number_table(scope: Scope) -> Lines:
    """`sizes = [[3, 5], [8, 2]]`."""
    rows = [f"[{numbers(scope, 2, 5)}]" for _ in range(1 + int(scope.chance() * 3))]
    return [f"{scope.bind()} = [{', '.join(rows)}]"]


def value_of(scope: Scope, literal: str) -> str:
    """A statement with a literal in it."""
    chance = scope.chance()
    if chance < 0.6:
        return f"{scope.bind()} = {literal}"
    if chance < 0.85 or not scope.returns:
        return f"{scope.function()}({literal})"
    return f"return {literal}"


def string_list(scope: Scope) -> Lines:
    """`names = ["red", "blue"]`."""
    mark = scope.mark()
    entries = [f"{mark}{scope.noun()}{mark}" for _ in range(2 + int(scope.chance() * 4))]
    return [value_of(scope, f"[{', '.join(entries)}]")]


def string_dict(scope: Scope) -> Lines:
    """`prices = {"red": 3, "blue": 5}`."""
    mark = scope.mark()
    entries = [f"{mark}{scope.noun()}{mark}: {scope.number()}" for _ in range(1 + int(scope.chance() * 4))]
    return [value_of(scope, f"{{{', '.join(entries)}}}")]


def comment(scope: Scope) -> Lines:
    """`# load the page` and the call that does it."""
    return [f"# {scope.pick(VERBS)} the {scope.phrase()}", *call(scope)]


def optional_file(scope: Scope) -> Lines:
    """`file = open(path) if path else None`."""
    path = scope.known()
    other = "None" if scope.chance() < 0.5 else scope.known()
    return [f"{scope.bind()} = open({path}) if {scope.name()} else {other}"]


SIMPLE = (
    assign_number,
    assign_string,
    *2 * (assign_flag,),
    assign_sum,
    assign_name,
    assign_call,
    *3 * (assign_conditional,),
    *3 * (assign_lambda,),
    augment,
    call,
    *5 * (message,),
    *5 * (formatted_message,),
    *4 * (swap,),
    *3 * (number_list,),
    *3 * (number_table,),
    *2 * (string_list,),
    *2 * (string_dict,),
    comment,
    *3 * (optional_file,),
)
"""Every kind of simple statement, repeated by its weight."""
