"""Writes the page of a run into a file."""

from pathlib import Path

from benchmark.disk import replace_file
from benchmark.report.page.made_from import digest_in, digest_of
from benchmark.report.page.page import page
from benchmark.report.page.source import page_run


def is_up_to_date(folder: Path, store: Path | None, file: Path, preset: str | None = None) -> bool:
    """Whether a file is the page that `write_page` would write, with the same arguments.

    Raises:
        ValueError: In one line, as for `write_page`.
    """
    carried = digest_in(file)
    return bool(carried) and carried == digest_of(page_run(folder, store, preset))


def write_page(folder: Path, store: Path | None, to: Path, preset: str | None = None) -> Path:
    """Write the page of a run, replacing an earlier one.

    Args:
        folder: The folder of the tables.
        store: The folder of the artifacts; the page is made from the tables alone if it does not exist.
        to: The file.
        preset: The preset that is shown; it need not be named if the folder has only one.

    Returns:
        The file.

    Raises:
        ValueError: In one line, if the folder has no records of the preset, they cannot be read, or there is no place
            for the file.
        OSError: The file cannot be written.
    """
    if to.is_dir() or not to.parent.is_dir():
        what = "is a folder" if to.is_dir() else "is in a folder that does not exist"
        raise ValueError(f"cannot write {str(to)!r}, which {what}; choose another --out")
    if to.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"cannot write {str(to)!r} as a page, whose name ends in .html")
    replace_file(to, page(page_run(folder, store, preset)))
    return to
