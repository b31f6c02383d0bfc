"""A folder of files as bytes, and back: how artifacts reach workers that cannot see the folder of the store."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath


def pack(folder: Path) -> dict[str, bytes]:
    """The content of every plain file under a folder, by its path inside the folder."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder, which is created if missing.

    Raises:
        ValueError: A path would leave the folder; nothing is written.
    """
    for name in files:
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise ValueError(f"{name!r} is not the path of a file inside a folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
