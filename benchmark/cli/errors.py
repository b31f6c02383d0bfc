"""Bad usage is reported in one line with exit code 2; Ctrl-C exits with code 130."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from benchmark.running.store import CorruptArtifactError
from benchmark.seeds import LARGEST_SEED
from benchmark.stopping import STOPPED, handled_by, interrupt


class BadUsage(click.ClickException):
    """What the user asked for cannot be done; shown as one line."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@contextmanager
def user_errors() -> Iterator[None]:
    """Report a `ValueError` or `OSError` inside as bad usage: it is the user's to fix."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise BadUsage(str(error)) from error


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except (click.UsageError, CorruptArtifactError) as error:
        raise BadUsage(error.format_message() if isinstance(error, click.UsageError) else str(error)) from error


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
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise BadUsage(f"unknown command {args[0]!r}; choose from {', '.join(self.commands)}")
        return super().resolve_command(ctx, args)


def names(context: click.Context, parameter: click.Parameter, value: str | None) -> Sequence[str]:
    """Callback of an option that takes `NAME,NAME`."""
    if value is None:
        return ()
    found = [name.strip() for name in value.split(",") if name.strip()]
    if not found:
        raise click.BadParameter("names none", context, parameter)
    return found


def seeds(context: click.Context, parameter: click.Parameter, value: str | None) -> Sequence[int]:
    """Callback of an option that takes `0,1,2`."""
    found = names(context, parameter, value)
    if not all(re.fullmatch("[0-9]{1,10}", name) and int(name) <= LARGEST_SEED for name in found):
        wanted = f"whole numbers from 0 to {LARGEST_SEED}, such as 0,1,2"
        raise click.BadParameter(f"{value!r} is not a list of {wanted}", context, parameter)
    return [int(name) for name in found]


def device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Callback of the option for the device; `auto` becomes the kind of device that there is."""
    if value == "cpu":
        return value
    from benchmark.model.devices import available

    try:
        return available(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


class FiniteRange(click.FloatRange):
    """A `click.FloatRange` that also refuses `nan`, which lies outside no range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a finite number", param, ctx)
