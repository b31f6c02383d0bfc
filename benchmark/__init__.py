"""The ruler: everything that measures, and nothing that knows a method."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.discovery.finder import find_circuit
    from benchmark.methods import Facts, Method, Variant
    from benchmark.model.circuit import Circuit
    from benchmark.model.interface import CircuitModel, Connection, Site, forward
    from benchmark.progress import Progress
    from benchmark.running.models import load_model

__all__ = [
    "Circuit",
    "CircuitModel",
    "Connection",
    "Facts",
    "Method",
    "Progress",
    "Site",
    "Variant",
    "find_circuit",
    "forward",
    "load_model",
]

_HOME = {
    "Circuit": "model.circuit",
    "CircuitModel": "model.interface",
    "Connection": "model.interface",
    "Facts": "methods",
    "Method": "methods",
    "Progress": "progress",
    "Site": "model.interface",
    "Variant": "methods",
    "find_circuit": "discovery.finder",
    "forward": "model.interface",
    "load_model": "running.models",
}
"""The file of each public name."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: importing the package does not import torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
