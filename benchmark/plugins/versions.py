"""The versions of the code and of the libraries that compute.

The versions of our code and of the libraries are recorded with every artifact but are not part of any key. The source
of other people's records is part of the keys of the cells that it computes.
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
"""`module:name`, or a function or class itself."""

DISTRIBUTION = "sparse-circuit-bench"
"""The name under which we are installed."""

PACKAGES = ("benchmark", "sparse_model", "baselines")
"""Our top-level packages."""

LIBRARIES = ("torch", "numpy", "tokenizers", "transformer-lens", "sae-lens", "numba", "scipy")
"""The libraries whose versions may change a number."""


@cache
def code_version() -> str:
    """Our version and twelve hex digits over the source of our packages: equal exactly when the code is equal."""
    root = Path(__file__).resolve().parents[2]
    files = _python_files(root / package for package in PACKAGES)
    return f"{_version_or(DISTRIBUTION, 'unknown')}+{_digest_of_files(files)[:12]}"


def source_digest(reference: Reference) -> str | None:
    """A digest of other people's source; `None` for what is in our packages.

    The digest is over all Python files of the top-level package, or over the one file of a module outside any package.
    A module that cannot be found has a digest too, which changes once it can be found.

    Args:
        reference: `module:name` or `module`, which is not imported unless it lies in a namespace package; or a function
            or class.
    """
    if isinstance(reference, str):
        module = reference.partition(":")[0]
        return None if module.partition(".")[0] in PACKAGES else _digest_of_files(_files_of(module)) + module
    while isinstance(reference, partial):
        reference = reference.func
    function = inspect.unwrap(reference)
    named = function if hasattr(function, "__qualname__") else type(function)
    module = str(named.__module__)
    if module.partition(".")[0] in PACKAGES or _files_of(module):
        return source_digest(module)
    try:  # the module cannot be imported by name
        source = Path(inspect.getfile(named)).read_bytes()
    except (OSError, TypeError):  # typed in at a prompt
        source = repr(getattr(named, "__code__", named)).encode()
    return hashlib.sha256(source).hexdigest()


def outside_sources(references: Mapping[str, Reference]) -> dict[str, str]:
    """The digests of the references outside our packages, by name, as a cell's key takes them."""
    digests = {name: source_digest(reference) for name, reference in references.items()}
    return {name: digest for name, digest in digests.items() if digest is not None}


def _files_of(module: str) -> dict[str, Path]:
    """The Python files of a module's top-level package (below any namespace package), or the module's only file."""
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
    """The files of packages, by path relative to the folder that contains the package."""
    files = ((file, folder.parent) for folder in folders for file in folder.rglob("*.py"))
    return {file.relative_to(root).as_posix(): file for file, root in files}


def _digest_of_files(files: Mapping[str, Path]) -> str:
    """A digest over names and contents that does not depend on their order."""
    content = hashlib.sha256()
    for name, file in sorted(files.items()):
        content.update(f"{name}\n".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()


@cache
def library_versions() -> Mapping[str, str]:
    """The versions of Python and of the libraries that compute, which are not imported for it."""
    return {"python": platform.python_version()} | {name: _version_or(name, "absent") for name in LIBRARIES}


def _version_or(name: str, default: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return default
