"""A digest over all that a page is made from, which the page carries: one that is up to date is not made again."""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from benchmark.plugins.versions import code_version, library_versions
from benchmark.report.page.source import PageRun
from benchmark.running.experiment import RUN
from benchmark.running.store import CorruptArtifactError, Store

DRAWING = ("plotly", "jinja2")
"""The libraries that make a page, besides those that compute."""

HEAD = 4_096
"""The digest is within so many bytes from the beginning of a page."""


def digest_of(run: PageRun) -> str:
    """SHA-256 over the tables, the preset, the keys of the artifacts, and the code and the libraries that read them.

    A key stands for the content of its artifact. A folder that is named otherwise has the same digest.
    """
    content = hashlib.sha256()
    for part in [run.preset, code_version(), *map(str, sorted(library_versions().items())), *map(version, DRAWING)]:
        content.update(f"{part}\n".encode())
    tables = sorted(path for path in run.folder.iterdir() if path.suffix == ".csv" or path.name == RUN)
    for name, file in [*((path.name, path.read_bytes()) for path in tables), *_own_files()]:
        content.update(f"{name} {hashlib.sha256(file).hexdigest()}\n".encode())
    keys = [] if run.store is None else _keys(run.store, {row.config_hash for row in run.records if row.config_hash})
    content.update("\n".join(["no store"] if run.store is None else keys).encode())
    return content.hexdigest()


def digest_in(page: Path) -> str:
    """The digest that a page carries; empty for a file that is none, and for a page of an earlier version."""
    try:
        with page.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return ""
    found = re.search(rb'<meta name="made-from" content="([0-9a-f]{64})">', head)
    return found[1].decode() if found else ""


def _own_files() -> Iterable[tuple[str, bytes]]:
    """The templates, scripts and style sheets, which the version of the code does not cover."""
    for folder in ("static", "templates"):
        inside = resources.files(__package__) / folder
        yield from ((each.name, each.read_bytes()) for each in sorted(inside.iterdir(), key=lambda each: each.name))


def _keys(store: Store, beginnings: set[str]) -> list[str]:
    """The keys of the artifacts that records name, and of all that they were computed from, if they are there."""
    there = set(store.keys_of([""]))
    found, waiting = set[str](), store.keys_of(beginnings)
    while waiting:
        key = waiting.pop()
        if key in there and key not in found:
            found.add(key)
            with suppress(CorruptArtifactError):  # the page names it
                waiting += store.manifest(key).needs.values()
    return sorted(found)
