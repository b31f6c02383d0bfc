"""The ruler: everything that measures, and nothing that knows a method."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.circuit import Circuit
    from benchmark.evaluate import load_model
    from benchmark.methods import Facts, Method, Progress, Variant
    from benchmark.model import CircuitModel, Connection, Site, forward
    from benchmark.pruning import find_circuit

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
    "Circuit": "circuit",
    "CircuitModel": "model",
    "Connection": "model",
    "Facts": "methods",
    "Method": "methods",
    "Progress": "methods",
    "Site": "model",
    "Variant": "methods",
    "find_circuit": "pruning",
    "forward": "model",
    "load_model": "evaluate",
}
"""The file of each public name."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: importing the package does not import torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
