"""The public names and where they are; `__init__.py` reads this file to import each on first use."""

from .discovery.search import Budget as Budget
from .methods import Facts as Facts
from .methods import Method as Method
from .methods import Variant as Variant
from .model.circuit import Circuit as Circuit
from .model.hooked import from_hooked as from_hooked
from .model.interface import CircuitModel as CircuitModel
from .model.interface import Connection as Connection
from .model.interface import Site as Site
from .model.interface import forward as forward
from .notebook.circuits import find_circuit as find_circuit
from .notebook.drawing import graph_of as graph_of
from .notebook.drawing import plot as plot
from .notebook.drawing import to_networkx as to_networkx
from .notebook.labels import label_replacement as label_replacement
from .notebook.scores import assessment_table as assessment_table
from .notebook.scores import score as score
from .progress import Progress as Progress
from .running.finished import load_leaderboard as load_leaderboard
from .running.finished import load_model as load_model
from .running.finished import open_run as open_run
