"""`bench match`: the training tokens at which a method's validation loss matches that of another method."""

from collections.abc import Sequence
from pathlib import Path

import click

from benchmark.cli.errors import METHOD, PRESET, FiniteRange, user_errors
from benchmark.cli.folders import FOLDER
from benchmark.running.store import Store


@click.command()
@click.argument("method", type=METHOD)
@click.option(
    "--to", default="", type=METHOD, help="The method whose loss is matched; by default the one METHOD declares."
)
@click.option("--preset", default="quick", show_default=True, type=PRESET, help="Settings to start from.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the preset: dense.d_model=48.")
@click.option("--tolerance", default=0.02, show_default=True, type=FiniteRange(0, 100, min_open=True), help="Nats.")
@click.option("--trials", default=6, show_default=True, type=click.IntRange(1, 1000), help="Most models to train.")
@click.option("--store", default="store", show_default=True, type=FOLDER, help="Folder of artifacts.")
def match(
    method: str, to: str, preset: str, changes: Sequence[str], tolerance: float, trials: int, store: Path
) -> None:
    """Find the training tokens at which METHOD's validation loss matches that of another method.

    Prints each trial and finally the setting to put into the preset; exit 1 if no trial came near enough.
    """
    from rich.console import Console

    from benchmark.methods import METHODS, with_role
    from benchmark.running.config import configure
    from benchmark.running.estimates import Estimates
    from benchmark.running.progress_display import Tally, display_on
    from benchmark.studies.match import match as search

    with user_errors():
        to = to or METHODS.named(method).matched_to or next(iter(with_role("reference")), method)
        run = configure(preset, [method, to], (), (0,), changes)
        place = Store(store)
        trial = None
        tally = Tally(Estimates(run.estimated_seconds))
        with display_on(Console(stderr=True, highlight=False), tally) as display:
            for trial in search(run, method, to, place, display, tolerance=tolerance, trials=trials):
                display.say(f"{method} {trial.tokens:,} tokens: loss {trial.loss:.3f}, {trial.gap:+.3f} from {to}")
    assert trial is not None
    click.echo(f"{method}.tokens={trial.tokens}  gap {trial.gap:+.3f} nats")
    if abs(trial.gap) > tolerance:
        raise click.exceptions.Exit(1)
