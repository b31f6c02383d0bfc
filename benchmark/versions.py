"""Which code and which libraries computed something: recorded beside every artifact, part of no key."""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    root = Path(__file__).resolve().parents[1]
    content = hashlib.sha256()
    for file in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        content.update(f"{file.relative_to(root).as_posix()}\n".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{distribution_version()}+{content.hexdigest()[:12]}"


def library_versions() -> dict[str, str]:
    """The versions of Python and of the libraries that compute, without importing them."""
    return {"python": platform.python_version()} | {name: _version_or(name, "absent") for name in LIBRARIES}


def _version_or(name: str, default: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return default
