"""Statements of one or two lines: assignments, literals, calls, messages."""

from benchmark.corpus.idioms.scope import Lines, Scope
from benchmark.corpus.idioms.words import ADJECTIVES, READ_FILES, VERBS

BOOLEANS = ("True", "False", "None")
OPERATORS = ("+", "-", "*", "/")
CALLERS = ("print", "print", "log", "show", "send")


def assign_number(scope: Scope) -> Lines:
    """`count = 3`."""
    return [f"{scope.bind()} = {scope.number()}"]


def assign_string(scope: Scope) -> Lines:
    """`title = "page ready"`."""
    return [f"{scope.bind()} = {scope.string()}"]


def assign_flag(scope: Scope) -> Lines:
    """`ready = True`, `ready = None`, `page.ready = True`."""
    flag = scope.name() if scope.chance() < 0.8 else scope.pick(ADJECTIVES)
    owner = scope.pick(("", "", f"{scope.known()}.", f"{scope.known()}.{scope.noun()}."))
    return [f"{owner}{flag} = {'True' if scope.chance() < 0.6 else scope.pick(BOOLEANS)}"]


def assign_field(scope: Scope) -> Lines:
    """`page.row.size = 3`."""
    value = scope.number() if scope.chance() < 0.5 else scope.known()
    return [f"{scope.known()}.{scope.noun()}.{scope.noun()} = {value}"]


def assign_sum(scope: Scope) -> Lines:
    """`total = count + 1`."""
    left, right = scope.known(), scope.known() if scope.chance() < 0.5 else scope.number()
    return [f"{scope.bind()} = {left} {scope.pick(OPERATORS)} {right}"]


def assign_name(scope: Scope) -> Lines:
    """`item = entry`, `item = entry.price`."""
    return [f"{scope.bind()} = {value(scope)}"]


def value(scope: Scope) -> str:
    """`entry`, `-entry`, `entry.price`, `entry.price.rate`."""
    sign = "-" if scope.chance() < 0.15 else ""
    return sign + ".".join([scope.known(), *(scope.noun() for _ in range(int(scope.chance() * 2.3)))])


def assign_call(scope: Scope) -> Lines:
    """`rows = load(path)`, `size = len(rows)`, `rows = load("new page")`."""
    if scope.chance() < 0.35:
        return [f"{scope.bind()} = {scope.function()}({text(scope)})"]
    function = "len" if scope.chance() < 0.2 else scope.function()
    return [f"{scope.bind()} = {function}({scope.known()})"]


def assign_conditional(scope: Scope) -> Lines:
    """`size = low if ready else high`, `size += low + step if count == 3 else high`."""
    kept = scope.pick((value(scope), value(scope), f"{scope.known()} + {scope.known()}", scope.number()))
    sign = "=" if scope.chance() < 0.7 else "+="
    return [f"{scope.bind()} {sign} {kept} if {asked(scope)} else {scope.name()}"]


def asked(scope: Scope) -> str:
    """The condition of a ternary: `ready`, `page.ready`, `count == 3`."""
    name = scope.name()
    return scope.pick((name, name, f"{name}.{scope.noun()}", f"{name} == {scope.number()}"))


def assign_lambda(scope: Scope) -> Lines:
    """`price = lambda item: item.cost`, or another statement with a lambda in it."""
    argument, mark, known = scope.noun(), scope.mark(), scope.known()
    body = scope.pick(
        (f"{argument}.{scope.noun()}", f"{argument} + {scope.number()}", f"{scope.function()}({argument})")
    )
    function = f"lambda {argument}: {body}"
    match int(scope.chance() * 6):
        case 0:
            return [f"{scope.bind()} = {function}"]
        case 1:
            return [f"{known}.{scope.noun()} = {function}"]
        case 2:
            return [f"{scope.function()}({known}, {function})"]
        case 3:
            return [f"{scope.bind()} = {known} if {scope.noun()} else {function}"]
        case 4:
            return [f"{scope.bind()} = [{known}, {function}]"]
        case _:
            return [f"{scope.bind()} = {{{mark}{scope.noun()}{mark}: {function}}}"]


def augment(scope: Scope) -> Lines:
    """`count += 1`, `total += page.count`."""
    added = scope.number() if scope.chance() < 0.6 else value(scope)
    return [f"{scope.known()} {scope.pick(('+=', '-='))} {added}"]


def comprehension(scope: Scope) -> Lines:
    """`sizes = [item.size for index, item in enumerate(items)]`, `sizes = [left for index in range(9)]`."""
    kept, target = value(scope), scope.name()
    if scope.chance() < 0.5:
        return [f"{scope.bind()} = [{kept} for {target}, {scope.name()} in enumerate({scope.plural()})]"]
    end = scope.number() if scope.chance() < 0.5 else f"len({scope.plural()})"
    return [f"{scope.bind()} = [{kept} for {target} in range({end})]"]


def call(scope: Scope) -> Lines:
    """`save(rows)`, `rows.append(row)`."""
    if scope.chance() < 0.4:
        return [f"{scope.known()}.{scope.pick(('append', 'update', 'remove', 'extend'))}({scope.known()})"]
    arguments = ", ".join(value(scope) for _ in range(int(scope.chance() * 3)))
    return [f"{scope.function()}({arguments})"]


def text(scope: Scope) -> str:
    """A plain string, or an f-string, which always ends in a name."""
    if scope.chance() < 0.5:
        return scope.string()
    mark = scope.mark()
    return f"f{mark}{scope.phrase()} {{{scope.known()}}}{mark}"


def message(scope: Scope) -> Lines:
    """`print("page missing")`, `page.send(f"row of {size}")`: a call that ends in a string, or a `raise`."""
    chance = scope.chance()
    if chance < 0.5:
        return [f"{scope.pick(CALLERS)}({text(scope)})"]
    if chance < 0.7:
        return [f"{scope.known()}.{scope.pick(VERBS)}({text(scope)})"]
    if chance < 0.9:
        return [f"{scope.function()}({scope.known()}, {text(scope)})"]
    return [f"raise {scope.pick(('ValueError', 'KeyError'))}({text(scope)})"]


def swap(scope: Scope) -> Lines:
    """`left, right = right, left`: alone, after both were bound, in a branch or in a loop."""
    first, second = scope.pair()
    scope.names += (first, second)
    exchange = f"{first}, {second} = {second}, {first}"
    chance = scope.chance()
    if chance < 0.25:
        return [exchange]
    if chance < 0.45:
        return [f"{first} = {scope.number()}", f"{second} = {scope.number()}", exchange]
    if chance < 0.65:
        return [f"{first} = {scope.noun()}", f"{second} = {scope.noun()}", exchange]
    if chance < 0.85:
        return [f"if {first} > {second}:", f"    {exchange}"]
    return [f"for {first}, {second} in {scope.plural()}:", f"    {exchange}"]


def numbers(scope: Scope, low: int, high: int) -> str:
    """`3, 5, 8`: from `low` to `high` numbers."""
    return ", ".join(scope.number() for _ in range(low + int(scope.chance() * (high - low + 1))))


def number_list(scope: Scope) -> Lines:
    """`sizes = [3, 5, 8]`, `sizes += [low, 5]`."""
    return [f"{listed(scope)} [{entries(scope, 2, 8)}]"]


def listed(scope: Scope) -> str:
    """The target of a list: `sizes =`, `sizes +=`."""
    return f"{scope.bind()} {'=' if scope.chance() < 0.75 else '+='}"


def entries(scope: Scope, low: int, high: int) -> str:
    """`3, 5, 8`, `low, high` or `3, low`: from `low` to `high` numbers, names, or both."""
    chance = scope.chance()
    if chance < 0.6:
        return numbers(scope, low, high)
    count = low + int(scope.chance() * (high - low + 1))
    names = 1.0 if chance < 0.8 else 0.4
    return ", ".join(scope.known() if scope.chance() < names else scope.number() for _ in range(count))


def number_table(scope: Scope) -> Lines:
    """`sizes = [[3, 5], [8, 2]]`."""
    rows = [f"[{entries(scope, 2, 5)}]" for _ in range(1 + int(scope.chance() * 3))]
    return [f"{listed(scope)} [{', '.join(rows)}]"]


def value_of(scope: Scope, literal: str) -> str:
    """A statement with a literal in it."""
    chance = scope.chance()
    if chance < 0.6:
        return f"{scope.bind()} = {literal}"
    if chance < 0.8:
        return f"{scope.function()}({literal})"
    return f"{scope.known()}.{scope.pick(VERBS)}({literal})"


def string_list(scope: Scope) -> Lines:
    """`names = ["red", "blue"]`."""
    mark = scope.mark()
    words = [f"{mark}{scope.noun()}{mark}" for _ in range(2 + int(scope.chance() * 4))]
    words = [word if place == 0 or scope.chance() < 0.85 else scope.known() for place, word in enumerate(words)]
    return [value_of(scope, f"[{', '.join(words)}]")]


def string_dict(scope: Scope) -> Lines:
    """`prices = {"red": 3, "blue": 5}`."""
    mark = scope.mark()
    kind = scope.pick((Scope.number, Scope.number, Scope.known, Scope.short_string))
    pairs = [f"{mark}{scope.noun()}{mark}: {kind(scope)}" for _ in range(1 + int(scope.chance() * 4))]
    return [value_of(scope, f"{{{', '.join(pairs)}}}")]


def comment(scope: Scope) -> Lines:
    """`# load the page` and the call that does it."""
    return [f"# {scope.pick(VERBS)} the {scope.phrase()}", *call(scope)]


def optional_file(scope: Scope) -> Lines:
    """`file = open(path) if path else None`."""
    other = "None" if scope.chance() < 0.5 else scope.known()
    return [f"{scope.bind()} = open({path(scope)}) if {scope.name()} else {other}"]


def path(scope: Scope) -> str:
    """The arguments of `open`: `path`, `page.path`, `folder + path`, `path, "r"`, `"input.txt"`."""
    mark, name = scope.mark(), scope.name()
    return scope.pick(
        (
            name,
            name,
            f"{name}.{scope.noun()}",
            f"{name} + {scope.noun()}",
            f"{name}, {mark}r{mark}",
            f"{mark}{scope.pick(READ_FILES)}.txt{mark}",
        )
    )


def seldom(scope: Scope) -> Lines:
    """`assert size == 3` and the like: test forms have other statements with these words, which should be known."""
    name, noun = scope.known(), scope.noun()
    statements = (
        f"assert {name} == {scope.number()}",
        f"assert {name}.{noun}",
        f"del {name}.{noun}",
        f"global {noun}",
        f"exit({scope.number()})",
        f"{name}[{scope.number()}] = {noun}",
        f"{name}.{noun} *= {scope.number()}",
        f"{noun}: int = {scope.number()}",
        f"print({name}.{noun})",
        f"warn({name})",
    )
    if scope.returns and scope.chance() < 0.15:
        return [f"yield {name}.{noun}"]
    return [scope.pick(statements)]


SIMPLE = (
    assign_number,
    assign_string,
    *3 * (assign_flag,),
    assign_field,
    assign_sum,
    assign_name,
    *2 * (assign_call,),
    *4 * (assign_conditional,),
    *5 * (assign_lambda,),
    augment,
    *2 * (call,),
    *9 * (message,),
    *5 * (swap,),
    *2 * (comprehension,),
    *3 * (number_list,),
    *3 * (number_table,),
    *2 * (string_list,),
    *2 * (string_dict,),
    comment,
    *2 * (seldom,),
    *3 * (optional_file,),
)
"""Every kind of simple statement, repeated by its weight."""

ONE_LINE = (assign_number, assign_sum, assign_name, assign_call, assign_flag, augment, call, call)
"""The plainest kinds of statement, all one line long."""
