"""Methods that train nothing, found as installed ones are."""

from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from pydantic import BaseModel, ConfigDict, Field

import benchmark.methods
from benchmark.methods import Method, Variant


class ToyModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    width: int = Field(8, ge=1)


class ToyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    density: float = Field(0.5, gt=0, le=1)
    steps: int = Field(10, ge=1)
    model: ToyModel = ToyModel()
    shares: dict[str, float] = {}


def toy_method(name, **fields):
    fields = {"variants": (Variant("native", ("channel", "unit")),), **fields}
    return Method(name, f"Toy {name}.", "nobody", ToyConfig, train="toy:train", load="toy:load", **fields)


ROOT = toy_method("root")
SPARSE = toy_method("sparse")
FITTED = toy_method(
    "fitted",
    needs=("root",),
    explains="root",
    variants=(Variant("errors_ablated", ("unit",)), Variant("errors_available", ("unit",), ranked=False)),
)


@dataclass(frozen=True)
class Entry:
    method: Method
    value: str = "toy_methods:SOMETHING"
    dist: None = None

    @property
    def name(self):
        return self.method.name

    def load(self):
        return self.method


@contextmanager
def installed(*methods):
    """These methods are the only installed ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            benchmark.methods,
            "entry_points",
            lambda group: [Entry(each, each.origin or Entry.value) for each in methods],
        )
        benchmark.methods.methods.cache_clear()
        yield
    benchmark.methods.methods.cache_clear()
