"""Reads an exported file with the `Graph` of EAP-IG, which MIB's circuit track uses, and prints what was read as JSON.

Run with the path of the file as the only argument, where EAP-IG can be imported. Only its drawings need matplotlib.
"""

import importlib.util
import json
import sys
import types

if importlib.util.find_spec("matplotlib") is None:
    for name in ("matplotlib", "matplotlib.cm"):
        sys.modules[name] = types.ModuleType(name)


def main():
    from eap.graph import Graph

    graph = Graph.from_json(sys.argv[1])
    scores = {name: float(edge.score) for name, edge in graph.edges.items() if bool(edge.in_graph)}
    read = {
        "nodes": sorted(name for name, node in graph.nodes.items() if bool(node.in_graph)),
        "scores": scores,
        "all edges": len(graph.edges),
        "node scores": {name: float(node.score) for name, node in graph.nodes.items() if name != "logits"},
    }
    graph.apply_topn(len(scores), True, prune=False)
    read["strongest"] = sorted(name for name, edge in graph.edges.items() if bool(edge.in_graph))
    print(json.dumps(read))


if __name__ == "__main__":
    main()
