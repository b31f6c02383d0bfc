"""`bench store`: check the artifacts of a store, and remove those that nothing needs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from benchmark.cli.errors import FiniteRange, OneLineGroup, user_errors
from benchmark.cli.folders import FOLDER
from benchmark.cli.text import WIDTH
from benchmark.report.words import counted
from benchmark.running.store import Store

MIB = 2**20

store_option = click.option("--store", default="store", show_default=True, type=FOLDER, help="Folder of artifacts.")


@click.group(cls=OneLineGroup)
def store() -> None:
    """Check the artifacts of a store, or remove those that nothing needs."""


@store.command()
@store_option
def verify(store: Path) -> None:
    """Check that every artifact is what was written.

    Exit 1 if one is not. Nothing is changed: a run sets corrupt artifacts aside and computes them again.
    """
    from benchmark.running.cleaning import artifacts, corrupt

    place = _existing(store)
    flaws = list(corrupt(place))
    for error in flaws:
        click.echo(f"{error.key[:12]}  {error.flaw}")
    number = len(artifacts(place))
    click.echo(f"{counted(number, 'artifact')} in {store}, {len(flaws)} corrupt")
    if flaws:
        raise click.exceptions.Exit(1)


@store.command()
@store_option
@click.option(
    "--out",
    "folders",
    multiple=True,
    type=FOLDER,
    default=("results",),
    show_default=True,
    help="Folder of tables whose artifacts are kept; can be given again.",
)
@click.option(
    "--days",
    type=FiniteRange(0, 36_500),
    default=30,
    show_default=True,
    help="Also keep what a run has used in that many days.",
)
@click.option("--yes", is_flag=True, help="Remove it; without this, only say what would be removed.")
def gc(store: Path, folders: Sequence[Path], days: float, yes: bool) -> None:
    """Remove what no records refer to and no run has used for some time.

    Whatever an artifact that is kept was computed from is kept as well. Says what would be removed, and removes it
    with --yes. The tables of `bench sweep`, `variance`, `regret` and `leave-one-out` do not say which artifacts they
    were made from, so those are kept by their use alone.
    """
    from benchmark.records.table import RECORDS, read_records
    from benchmark.running.cleaning import garbage, remove

    place = _existing(store)
    with user_errors():
        for folder in folders:
            if not (folder / RECORDS).exists():
                raise ValueError(f"there are no tables in folder {str(folder)!r}: give that of the runs with --out")
        referred = {row.config_hash for folder in folders for row in read_records(folder / RECORDS) if row.config_hash}
        found = garbage(place, referred, days)
        if yes:
            remove(found, place)
    sizes, numbers = Counter[str](), Counter(each.what for each in found)
    for each in found:
        sizes[each.what] += each.size
    for what, size in sizes.most_common():
        click.echo(f"{what:<{WIDTH - 30}}{numbers[what]:>10}{size / MIB:>14,.1f} MiB")
    total = f"{counted(len(found), 'item')}, {sum(sizes.values()) / MIB:,.1f} MiB"
    hint = "" if yes or not found else "; --yes removes them"
    click.echo(f"{'removed' if yes else 'not needed'}: {total}{hint}")


def _existing(folder: Path) -> Store:
    """The store in a folder; a usage error if there is none."""
    with user_errors():
        if not (folder / "artifacts").is_dir():
            raise ValueError(f"there is no store in folder {str(folder)!r}: `bench run --store {folder}` makes one")
    return Store(folder)
