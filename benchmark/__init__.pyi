"""The public names and where they are; `__init__.py` reads this file to import each on first use."""

from .discovery.finder import find_circuit as find_circuit
from .methods import Facts as Facts
from .methods import Method as Method
from .methods import Variant as Variant
from .model.circuit import Circuit as Circuit
from .model.hooked import from_hooked as from_hooked
from .model.interface import CircuitModel as CircuitModel
from .model.interface import Connection as Connection
from .model.interface import Site as Site
from .model.interface import forward as forward
from .progress import Progress as Progress
from .running.models import load_model as load_model
