"""The files of a saved dictionary: which they are, their digest, and which layer each belongs to. Imports no torch."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from baselines.file_names import CIRCUIT_TRACER_SETTINGS as CONFIG
from baselines.file_names import SETTINGS, SPARSIFY_WEIGHTS, WEIGHTS, is_circuit_tracer, is_sparsify
from baselines.hook_names import MLP_READS, module_place, place_of
from baselines.saved import SavedConfig
from benchmark.files import CorruptFileError, digest_of, read_json

DEEPEST, MOST_ENTRIES = 4, 10_000
"""Folders inside each other that are looked through, and entries in all of them."""


def digests(config: SavedConfig) -> dict[str, str]:
    """A digest over names and contents of all files of a saved dictionary: the `outside` of a `Method`.

    Raises:
        ValueError: There is no such folder, or it has no dictionary.
    """
    content = hashlib.sha256()
    for name, path in sorted(files_in(Path(config.path)).items()):
        content.update(f"{name}\0".encode())
        content.update(bytes.fromhex(digest_of(path)))
    return {"saved dictionary": content.hexdigest()}


def files_in(folder: Path) -> dict[str, Path]:
    """The files of the dictionaries in a folder, by their names relative to it.

    Raises:
        ValueError: There is no such folder, it has too many entries, or no dictionary.
    """
    if not folder.is_dir():
        raise ValueError(f"path {str(folder)!r}: there is no such folder; choose one with a saved dictionary")
    if is_circuit_tracer(folder):
        found = {path.name: path for path in folder.glob("*.safetensors")} | {CONFIG: folder / CONFIG}
    else:
        inside = [each for each in _folders(folder, DEEPEST) if (each / SETTINGS).exists()]
        paths = [each / name for each in inside for name in layer_files(each)]
        found = {path.relative_to(folder).as_posix(): path for path in paths}
    if not found:
        wanted = f"folders with {SETTINGS} and weights (sae-lens, sparsify), or a {CONFIG} (circuit-tracer)"
        raise ValueError(f"path {str(folder)!r}: there is no dictionary in it; choose one that has {wanted}")
    return found


def layer_files(folder: Path) -> tuple[str, str]:
    """The files of a layer in the format of sae-lens or sparsify."""
    return SETTINGS, SPARSIFY_WEIGHTS if is_sparsify(folder) else WEIGHTS


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """The folder and those inside it, links to folders left out."""
    left = MOST_ENTRIES
    level = [folder]
    for _ in range(depth):
        yield from level
        inner = []
        for each in level:
            for entry in sorted(each.iterdir()):
                if (left := left - 1) < 0:
                    raise ValueError(f"path {str(folder)!r}: it has more than {MOST_ENTRIES:,} entries")
                if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
                    inner.append(entry)
        level = inner


def folders_of(folder: Path, wanted: Sequence[str]) -> list[Path]:
    """The folders of sae-lens for some hook points, found by what their configurations say, not by their names.

    Only where a configuration names no hook point, its folder's name has to be one.

    Args:
        folder: Contains them.
        wanted: What is predicted, layer by layer, in our names.

    Raises:
        ValueError: One is missing, there twice, or of another place; one line that names it.
    """
    found: dict[str, Path] = {}
    for name in files_in(folder):
        if name.rpartition("/")[2] != SETTINGS:
            continue
        path = folder / name
        if (place := _predicted(path)) in found:
            raise CorruptFileError(path, f"is a second dictionary for {place}, besides {found[place].parent.name!r}")
        if place not in wanted:
            last = wanted[-1] if len(wanted) > 1 else ""
            choices = wanted[0] + (f" to {last}" if last else "")
            raise CorruptFileError(path, f"is for {place!r}; choose dictionaries for {choices} alone")
        found[place] = path
    if missing := [place for place in wanted if place not in found]:
        has = "; it has those of " + ", ".join(place for place in wanted if place in found) if found else ""
        raise ValueError(f"path {str(folder)!r}: there is no dictionary for {missing[0]}{has}")
    return [found[place].parent for place in wanted]


def _predicted(path: Path) -> str:
    """Our name for the hook point that a configuration of sae-lens says it predicts."""
    metadata: Any = read_json(path).get("metadata")
    hooks = metadata if isinstance(metadata, dict) else {}
    if is_sparsify(path.parent):
        return module_place(path.parent.name)
    for hook in (hooks.get("hook_name_out"), hooks.get("hook_name"), path.parent.name):
        if hook:
            place = place_of(str(hook))
            is_input = hook != path.parent.name and place.partition(".")[2].partition(".")[2] in MLP_READS
            return re.sub(r"(blocks\.\d+)\..*", r"\1.mlp_out", place) if is_input else place
    raise CorruptFileError(path, "names no hook_name in its metadata")
