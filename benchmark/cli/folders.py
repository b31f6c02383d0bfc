"""Folders that a command writes into are claimed before anything is computed."""

import tempfile
from pathlib import Path


def claim(*folders: Path) -> None:
    """Make folders that can be written to, all or none of them; `ValueError` names the one that cannot."""
    made: list[Path] = []
    for folder in folders:
        try:
            missing = [place for place in (folder, *folder.parents) if not place.exists()]
            for place in reversed(missing):
                place.mkdir()
                made.append(place)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            for place in reversed(made):
                place.rmdir()
            raise ValueError(f"cannot write to folder {str(folder)!r}: {error.strerror or error}") from None
