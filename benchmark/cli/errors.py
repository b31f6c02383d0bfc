"""Bad usage is reported in one line with exit code 2; Ctrl-C exits with code 130."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem

from benchmark.cli.completion import completed
from benchmark.disk import disk_failure
from benchmark.files import CorruptFileError, printable
from benchmark.running.executors import ExecutorFailedError, check_executor
from benchmark.running.store import CorruptArtifactError, StoreBusyError, StoreFailedError
from benchmark.seeds import LARGEST_SEED
from benchmark.stopping import STOPPED, handled_by, interrupt

LONGEST_MESSAGE = 4000
"""Most characters of an error message."""

LONGEST_NAME = 200
"""Most characters of the name of a method, a task, a concept or a preset."""

LONGEST_PATH = 3500
"""Most characters of the path of a file that is given in the place of a name."""

LONGEST_LIST = 20_000
"""Most characters of a list of names or seeds."""


class BadUsage(click.ClickException):
    """What the user asked for cannot be done; shown as one line that drives no terminal."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        line = printable(" ".join(message.split()))
        super().__init__(line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}…")


class RunFailed(BadUsage):
    """A run could not go on; shown as one line, too."""

    exit_code = 1


@contextmanager
def user_errors() -> Iterator[None]:
    """Report a `ValueError` or `OSError` inside as bad usage: it is the user's to fix; a full disk ends with code 1."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise (RunFailed if disk_failure(error) else BadUsage)(str(error)) from error


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise BadUsage(error.format_message()) from error
    except (CorruptArtifactError, CorruptFileError, StoreBusyError) as error:
        raise BadUsage(str(error)) from error
    except (StoreFailedError, ExecutorFailedError) as error:
        raise RunFailed(str(error)) from error


class OneLineGroup(click.Group):
    """A group of commands whose usage errors take one line."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the group's own options."""
        with _one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse and run a command."""
        try:
            with _one_line(), handled_by(interrupt):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(STOPPED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look up the command; the error names the choices."""
        unknown = args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None
        if unknown and not ctx.resilient_parsing:
            raise BadUsage(f"unknown command {args[0]!r}; choose from {', '.join(self.commands)}")
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            _check_lists_once(command, click.Context(command, ctx, name), rest)
        return name, command, rest


def _check_lists_once(command: click.Command, context: click.Context, arguments: Sequence[str]) -> None:
    """`BadUsage` if an option that takes a list is given several times: all lists but the last would be lost."""
    try:
        _, _, order = command.make_parser(context).parse_args(args=list(arguments))
    except click.UsageError:
        return  # which parsing reports
    for option, times in Counter(order).items():
        if times > 1 and option.callback in (names, seeds):
            raise BadUsage(f"{option.opts[0]} is given {times} times; give it once, with commas between its values")


class Name(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The name of a method, a task, a concept or a preset: printable, and not of any length.

    Args:
        kind: What the shell completes: `methods`, `tasks`, `concepts` or `presets`; nothing if it is empty.
    """

    name = "text"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that start with what was typed."""
        return completed(self.kind, incomplete) if self.kind else []

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name without the spaces around it."""
        name = str(value).strip()
        longest = LONGEST_PATH if name.startswith("file:") else LONGEST_NAME
        if not name.isprintable() or len(name) > longest:
            limits = f"at most {longest} characters and no control characters"
            self.fail(f"{name[:40]!r} is not a name, which has {limits}", param, ctx)
        return name


METHOD, TASK, CONCEPT, PRESET = map(Name, ("methods", "tasks", "concepts", "presets"))
NAME = Name("")


def names(context: click.Context, parameter: click.Parameter, value: str | None) -> Sequence[str]:
    """Callback of an option that takes `NAME,NAME`, each once."""
    if value is None:
        return ()
    if len(value) > LONGEST_LIST:
        told = f"{value[:40]!r}… has {len(value):,} characters; give at most {LONGEST_LIST:,}"
        raise click.BadParameter(told, context, parameter)
    found = [NAME.convert(name, parameter, context) for name in value.split(",") if name.strip()]
    if not found:
        raise click.BadParameter("no name is given", context, parameter)
    _check_each_once(found, context, parameter)
    return found


def _check_each_once(found: Sequence[object], context: click.Context, parameter: click.Parameter) -> None:
    twice = [each for each, times in Counter(found).items() if times > 1]
    if twice:
        raise click.BadParameter(f"{twice[0]!s} is given twice; give each once", context, parameter)


def seeds(context: click.Context, parameter: click.Parameter, value: str | None) -> Sequence[int]:
    """Callback of an option that takes `0,1,2`."""
    if value is None:
        return ()
    found = [name.strip() for name in value.split(",") if name.strip()]
    if not found:
        raise click.BadParameter("no seed is given; choose some, such as 0,1,2", context, parameter)
    if not all(re.fullmatch("[0-9]{1,10}", name) and int(name) <= LARGEST_SEED for name in found):
        wanted = f"whole numbers from 0 to {LARGEST_SEED}, such as 0,1,2"
        shown = repr(value) if len(repr(value)) <= LONGEST_NAME else f"{repr(value)[:LONGEST_NAME]}…"
        raise click.BadParameter(f"{shown} is not a list of {wanted}", context, parameter)
    numbers = [int(name) for name in found]
    _check_each_once(numbers, context, parameter)
    return numbers


def device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Callback of the option for the device; `auto` becomes the kind of device that there is.

    The machines of a cluster may have devices that this one lacks.
    """
    elsewhere = context.params.get("executor", "local") != "local"
    if value == "cpu" or (elsewhere and value != "auto"):
        return value
    from benchmark.model.devices import available

    try:
        return available(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def available_executor(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Callback of the option for the executor: its library must be installed."""
    try:
        check_executor(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error
    return value


class FiniteRange(click.FloatRange):
    """A `click.FloatRange` that also refuses `nan`, which lies outside no range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a finite number", param, ctx)
