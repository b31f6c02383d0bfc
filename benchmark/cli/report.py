"""`bench report`: a finished run as one HTML page that needs no network."""

import shlex
from pathlib import Path

import click

from benchmark.cli.errors import PRESET, user_errors
from benchmark.cli.folders import FOLDER, file_to_write, former_option, results_option
from benchmark.files import printable


@click.command()
@click.option("--preset", type=PRESET, help="The preset that is shown, where the folder has several.")
@results_option
@click.option("--store", default="store", show_default=True, type=FOLDER, help="Folder of artifacts.")
@click.option("--out", type=FOLDER, help="File to write.  [default: report.html in the folder of the run]")
@former_option
def report(preset: str | None, results: Path, store: Path, out: Path | None, to: Path | None) -> None:
    """Write a finished run as one HTML page, and print its path.

    The page has the leaderboard, circuits, feature validity, faithfulness, what the numbers are worth and how they were
    made. It is one file that loads nothing from any network. Without the store it is made from the tables alone, and
    says what is missing.
    """
    from benchmark.report.page.page import PAGE
    from benchmark.report.page.writing import write_page

    with user_errors():
        click.echo(write_page(results, store, file_to_write(out, to, results / PAGE), preset))


def page_line(out: Path, store: Path, preset: str) -> str:
    """Write the page of a run that has ended unless it is up to date; a line with its path, or why there is none."""
    try:
        from benchmark.report.page.page import PAGE
        from benchmark.report.page.writing import is_up_to_date, write_page

        if is_up_to_date(out, store, out / PAGE, preset):
            return f"page in {out / PAGE}, which was up to date"
        return f"page in {write_page(out, store, out / PAGE, preset)}"
    except Exception as error:  # the tables are written, and no page is worth losing the end of a run
        why = printable(" ".join(str(error).split())) or type(error).__name__
        return f"no page was written: {why[:400]}; `bench report --results {shlex.quote(str(out))}` tries again"
