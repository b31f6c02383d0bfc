"""Statements with a body: loops, branches, files, and the accumulators that loops fill."""

from benchmark.corpus.idioms.scope import SINGULARS, Lines, Scope
from benchmark.corpus.idioms.statements import ONE_LINE, SIMPLE, augment, path
from benchmark.corpus.idioms.words import READ_FILES, WRITTEN_FILES

DEEPEST = 3
"""Maximum depth of nested blocks."""


def indented(lines: Lines) -> Lines:
    """The lines, indented by one block."""
    return ["    " + line for line in lines]


def body(scope: Scope, depth: int, most: int = 2) -> Lines:
    """One to `most` statements, indented by one block."""
    lines: Lines = []
    for _ in range(1 + int(scope.chance() * most)):
        lines += statement(scope, depth)
    if scope.returns and scope.chance() < 0.2:
        lines += leave(scope)
    return indented(lines)


def plain_body(scope: Scope, depth: int, most: int = 2) -> Lines:
    """A body that begins with a simple statement: some tasks are tested on loops that begin such a body."""
    return [*indented(scope.pick(ONE_LINE)(scope)), *body(scope, depth, most)]


def statement(scope: Scope, depth: int) -> Lines:
    """A simple statement, or a block unless the maximum depth is reached."""
    if depth < DEEPEST and scope.chance() < 0.35:
        return scope.pick(BLOCKS)(scope, depth)
    return scope.pick(SIMPLE)(scope)


def leave(scope: Scope) -> Lines:
    """`return True`, `return size`, `return low if ready else high`."""
    chance = scope.chance()
    if chance < 0.45:
        return ["return True" if scope.chance() < 0.7 else "return False"]
    if chance < 0.7:
        return [f"return {scope.known()}"]
    if chance < 0.8:
        return [f"return lambda {scope.noun()}: {scope.known()}"]
    return [f"return {scope.known()} if {scope.name()} else {scope.name()}"]


def loop_header(scope: Scope) -> str:
    """`for item in items:`, `for index in range(9):`, `for index, item in enumerate(items):`."""
    chance = scope.chance()
    if chance < 0.25:
        source = scope.plural()
        item = SINGULARS[source] if scope.chance() < 0.4 else scope.name()
        scope.names.append(item)
        return f"for {item} in {source}:"
    if chance < 0.57:
        end = scope.number() if scope.chance() < 0.5 else f"len({scope.plural()})"
        return f"for {scope.bind()} in range({end}):"
    if chance < 0.92:
        return f"for {scope.bind()}, {scope.bind()} in enumerate({scope.plural()}):"
    return f"for {scope.bind()}, {scope.bind()} in {scope.known()}.items():"


def for_loop(scope: Scope, depth: int) -> Lines:
    """A `for` and its body."""
    return [loop_header(scope), *body(scope, depth + 1)]


def while_loop(scope: Scope, depth: int) -> Lines:
    """`while queue:`, `while count < limit:`."""
    condition = scope.name() if scope.chance() < 0.7 else f"{scope.known()} < {scope.known()}"
    return [f"while {condition}:", *plain_body(scope, depth + 1, most=1)]


def endless_loop(scope: Scope, depth: int) -> Lines:
    """`while True:`, usually with a `break`."""
    lines = ["while True:", *plain_body(scope, depth + 1, most=1)]
    if scope.chance() < 0.6:
        lines += indented([f"if {condition(scope)}:", "    break"])
    return lines


def condition(scope: Scope) -> str:
    """`ready`, `page.ready == True`, `count == 3`, `count > 3`, `key in seen`."""
    chance = scope.chance()
    name = scope.name() if scope.chance() < 0.7 else f"{scope.known()}.{scope.noun()}"
    if chance < 0.25:
        return name
    if chance < 0.45:
        return f"{name} == {'True' if scope.chance() < 0.7 else 'False'}"
    if chance < 0.75:
        return f"{name} == {scope.number() if scope.chance() < 0.6 else scope.short_string()}"
    if chance < 0.9:
        return f"{scope.known()} {scope.pick(('>', '<', '!='))} {scope.number()}"
    return f"{scope.known()} {scope.pick(('in', 'not in'))} {scope.known()}"


def branch(scope: Scope, depth: int) -> Lines:
    """`if`, usually with `elif`, sometimes with `else`."""
    chained = scope.chance() < 0.7
    short = indented(scope.pick(ONE_LINE)(scope)) if chained and scope.chance() < 0.6 else []
    lines = [f"if {condition(scope)}:", *(short or body(scope, depth + 1))]
    if chained:
        other = scope.name() if scope.chance() < 0.5 else condition(scope)
        lines += [f"elif {other}:", *body(scope, depth + 1, most=1)]
    if scope.chance() < 0.4:
        lines += ["else:", *body(scope, depth + 1, most=1)]
    return lines


def failure(scope: Scope, depth: int) -> Lines:
    """`if size == 0:` and a `raise`."""
    return [f"if {condition(scope)}:", f"    raise {scope.pick(('ValueError', 'KeyError'))}({scope.string()})"]


def attempt(scope: Scope, depth: int) -> Lines:
    """`try` and `except`."""
    error = scope.pick(("ValueError", "KeyError", "OSError"))
    return ["try:", *plain_body(scope, depth + 1, most=1), f"except {error}:", *body(scope, depth + 1, most=1)]


def opened_file(scope: Scope, depth: int) -> Lines:
    """`with open("input.txt", "r") as file:`, `file = open(output_path, "w")`: the name tells the mode."""
    reads = scope.chance() < 0.5
    stem = scope.pick(READ_FILES if reads else WRITTEN_FILES)
    mark, mode = scope.mark(), "r" if reads else "w"
    folder = f"{scope.noun()}/" if scope.chance() < 0.25 else ""
    file = (
        f"{stem}_{scope.pick(('path', 'file'))}"
        if scope.chance() < 0.4
        else f"{mark}{folder}{stem}.{scope.pick(('txt', 'csv'))}{mark}"
    )
    name = scope.bind()
    use = f"{scope.bind()} = {name}.read()" if reads else f"{name}.write({scope.known()})"
    if scope.chance() < 0.3:
        return [f"{name} = open({file}, {mark}{mode}{mark})", use]
    return [f"with open({file}, {mark}{mode}{mark}) as {name}:", f"    {use}"]


def plain_file(scope: Scope, depth: int) -> Lines:
    """`with open(path) as file:`."""
    return [f"with open({path(scope)}) as {scope.bind()}:", *body(scope, depth + 1, most=1)]


def local_function(scope: Scope, depth: int) -> Lines:
    """`def report():` and its body, inside other code."""
    inner = scope.inner(scope.names[-3:])
    return [f"def {scope.noun()}():", *body(inner, depth + 1, most=1)]


def accumulator(scope: Scope, depth: int) -> Lines:
    """A set that is added to, or a string that is appended to: the binding determines what follows its name."""
    name = "current" if scope.chance() < 0.4 else scope.noun()
    source = scope.known()
    if scope.chance() < 0.5:
        start, use = scope.pick(("set()", f"set({source})", f"set({source})")), f"{name}.add({scope.known()})"
    else:
        start = scope.pick((scope.mark() * 2, scope.string(), scope.string(), f"str({source})"))
        use = f"{name} += {scope.known()}"
    between = scope.pick(ONE_LINE)(scope) if scope.chance() < 0.4 else []
    return [f"{name} = {start}", *between, *repeated(scope, use)]


def repeated(scope: Scope, use: str) -> Lines:
    """A statement by itself, in a branch, in a loop, or in a branch of a loop."""
    chance = scope.chance()
    if chance < 0.3:
        return [use] if chance < 0.2 else [f"if {condition(scope)}:", f"    {use}"]
    header = loop_header(scope)
    if chance < 0.65:
        return [header, f"    {use}"]
    if chance < 0.85:
        return [header, f"    if {condition(scope)}:", f"        {use}"]
    return [header, *indented(augment(scope)), f"    {use}"]


BLOCKS = (
    *8 * (for_loop,),
    *3 * (while_loop,),
    *2 * (endless_loop,),
    *6 * (branch,),
    failure,
    attempt,
    *2 * (local_function,),
    *6 * (opened_file,),
    *4 * (plain_file,),
    *8 * (accumulator,),
)
"""Every kind of block, repeated by its weight."""
