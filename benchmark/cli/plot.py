"""`bench plot`: a standard figure of the results as a picture."""

from pathlib import Path
from textwrap import wrap

import click

from benchmark.cli.errors import PRESET, Name, user_errors
from benchmark.cli.folders import FOLDER, file_to_write, former_option, results_option
from benchmark.cli.text import WIDTH


@click.command()
@click.argument("name", type=Name("figures"))
@results_option
@click.option("--out", type=FOLDER, help="File to write: .svg, .pdf or .png.  [default: NAME.svg]")
@former_option
@click.option("--preset", type=PRESET, help="The preset whose records are drawn, where the folder has several.")
def plot(name: str, results: Path, out: Path | None, to: Path | None, preset: str | None) -> None:
    """Draw the figure NAME from the tables of a run; `bench list figures` names them.

    The same tables give the same bytes. What has to be said of the picture is printed, to be put under it.
    """
    from benchmark.report.figures import FIGURES, Tables, figure

    with user_errors():
        if name not in FIGURES:
            raise ValueError(f"unknown figure {name!r}; choose from {', '.join(FIGURES)}")
        from benchmark.report.pictures import check_path, write_picture

        path = file_to_write(out, to, Path(f"{name}.svg"))
        check_path(path)
        tables = Tables.read(results, preset)
        drawn = figure(name, tables)
        if not drawn.series:
            others = [other for other in FIGURES if other != name and figure(other, tables).series]
            choices = f"; figures with something to draw: {', '.join(others)}" if others else ""
            raise ValueError(f"{name}: {' '.join(drawn.missing).rstrip('.')}{choices}")
        write_picture(drawn, path)
    click.echo("\n".join([str(path), *wrap(drawn.caption, WIDTH)]))
