"""The public names and where they are; `__init__.py` reads this file to import each on first use."""

from .drawing import to_dot as to_dot
from .drawing import to_svg as to_svg
from .formats import GRAPH_FORMATS as GRAPH_FORMATS
from .formats import write_graph as write_graph
from .graph import CircuitEdge as CircuitEdge
from .graph import CircuitGraph as CircuitGraph
from .graph import CircuitNode as CircuitNode
from .graph import circuit_graph as circuit_graph
from .networks import to_networkx as to_networkx
from .own import read_graph as read_graph
from .stored import stored_graph as stored_graph
from .stored import write_artifact as write_artifact
from .tables import to_pandas as to_pandas
