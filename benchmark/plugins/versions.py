"""Which code and which libraries computed something.

Our code's version and the libraries' are recorded beside every artifact and part of no key; the source of what others
wrote is part of the keys of the cells that it computes.
"""

import hashlib
import inspect
import platform
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Reference = str | Callable[..., Any]
"""What a registry holds: `module:name`, or a function or class itself."""

DISTRIBUTION = "sparse-circuit-bench"
"""The name that we are installed under."""

PACKAGES = ("benchmark", "sparse_model", "baselines")
"""Our top-level packages."""

LIBRARIES = ("torch", "numpy", "tokenizers", "transformer-lens", "sae-lens", "numba", "scipy")
"""The libraries whose version may change a number."""


@cache
def distribution_version() -> str:
    """Our version, or `unknown` where we are not installed."""
    return _version_or(DISTRIBUTION, "unknown")


@cache
def code_version() -> str:
    """Our version and twelve hex digits over the source of our packages: equal exactly when the code is equal."""
    root = Path(__file__).resolve().parents[2]
    files = _python_files(root / package for package in PACKAGES)
    return f"{distribution_version()}+{_digest_of_files(files)[:12]}"


def source_digest(reference: Reference) -> str | None:
    """A digest of the source of what others wrote, `None` of what is in our packages.

    All Python files of the top-level package that it is in count, or the one file of a module outside any package. A
    module that cannot be found has a digest too, which changes once it can be.

    Args:
        reference: `module:name` or `module`, which is not imported unless it lies in a namespace package; or a function
            or class.
    """
    if not isinstance(reference, str):
        return _digest_of_object(reference)
    module = reference.partition(":")[0]
    return None if module.partition(".")[0] in PACKAGES else _digest_of_files(_files_of(module)) + module


def outside_sources(references: Mapping[str, Reference]) -> dict[str, str]:
    """The digests of those references that are not in our packages, by their names: what a cell's key takes."""
    digests = {name: source_digest(reference) for name, reference in references.items()}
    return {name: digest for name, digest in digests.items() if digest is not None}


def _digest_of_object(thing: Callable[..., Any]) -> str | None:
    """Of a function or class by its module, or by its file where that module cannot be imported by name."""
    while isinstance(thing, partial):
        thing = thing.func
    thing = inspect.unwrap(thing)
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    module = str(named.__module__)
    if module.partition(".")[0] in PACKAGES or _files_of(module):
        return source_digest(module)
    try:
        source = Path(inspect.getfile(named)).read_bytes()
    except (OSError, TypeError):  # typed in at a prompt
        source = repr(getattr(named, "__code__", named)).encode()
    return hashlib.sha256(source).hexdigest()


def _files_of(module: str) -> dict[str, Path]:
    """The Python files of the package at the top of a module's name, namespaces apart, or the file of a module."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        try:
            spec = find_spec(".".join(parts[:end]))
        except (ImportError, ValueError):
            return {}
        if spec is not None and spec.origin is not None:
            places = (Path(spec.origin), *Path(spec.origin).parents)  # inside an archive it is the archive that counts
            alone = {file.name: file for file in places if file.is_file()}
            return _python_files(map(Path, spec.submodule_search_locations or ())) or alone
    return {}


def _python_files(folders: Iterable[Path]) -> dict[str, Path]:
    """The files of some packages, by their paths from where the packages lie."""
    files = ((file, folder.parent) for folder in folders for file in folder.rglob("*.py"))
    return {file.relative_to(root).as_posix(): file for file, root in files}


def _digest_of_files(files: Mapping[str, Path]) -> str:
    """Over names and contents, whatever their order."""
    content = hashlib.sha256()
    for name, file in sorted(files.items()):
        content.update(f"{name}\n".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()


def library_versions() -> dict[str, str]:
    """The versions of Python and of the libraries that compute, without importing them."""
    return {"python": platform.python_version()} | {name: _version_or(name, "absent") for name in LIBRARIES}


def _version_or(name: str, default: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return default
