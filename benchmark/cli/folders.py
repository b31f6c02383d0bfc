"""The folders that commands read and write; those written to are claimed before anything is computed."""

import tempfile
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)
"""The type of every option that names a folder."""


def claim(*folders: Path) -> None:
    """Create folders that can be written to, either all of them or none.

    Raises:
        ValueError: A folder cannot be created or written to; the error names it.
    """
    made: list[Path] = []
    for folder in folders:
        try:
            for place in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
                place.mkdir()
                made.append(place)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            for place in reversed(made):
                place.rmdir()
            raise ValueError(f"cannot write to folder {str(folder)!r}: {error.strerror or error}") from None
