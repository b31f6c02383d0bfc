"""Opens models in folders that were written elsewhere, through the methods that know their formats."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.methods import METHODS
from benchmark.plugins.registry import resolve

if TYPE_CHECKING:
    from benchmark.model.interface import CircuitModel


def open_model(folder: Path) -> "CircuitModel":
    """The model in a folder that is not a folder of results, such as one that was released with a paper.

    Raises:
        ValueError: No installed method knows what is in the folder, or its files cannot be used; in one line.
    """
    from benchmark.model.checks import check_model
    from benchmark.model.devices import placed

    openers = {name: method.opens for name, method in METHODS.items() if method.opens is not None}
    for opens in openers.values():
        model: CircuitModel | None = resolve(opens)(folder)
        if model is not None:
            model = placed(model)
            check_model(model, graphs=())  # not its connections: those of a large model take minutes
            return model
    known = f", or one of a model that {' or '.join(openers)} reads" if openers else ""
    raise ValueError(f"{folder} is not a model that can be opened; choose a folder of results{known}")
