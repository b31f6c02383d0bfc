"""Reads an exported folder with circuit-tracer's own code: its models of a graph and of features, and its server.

Run in an environment that has circuit-tracer 0.5, with the folder as the only argument; prints what was read as JSON.
"""

import json
import sys
import urllib.request
from pathlib import Path

from circuit_tracer.frontend.feature_models import Model as Feature
from circuit_tracer.frontend.graph_models import Metadata, Model, Node
from circuit_tracer.frontend.local_server import serve

PORT = 48_231


def same(content, model):
    """The model has every field of the content, with the same value."""
    assert model.model_dump() == content, sorted(content)


def fetched(path):
    with urllib.request.urlopen(f"http://localhost:{PORT}/{path}") as answer:
        return json.loads(answer.read())


def main():
    folder = Path(sys.argv[1])
    server = serve(data_dir=str(folder), port=PORT)
    try:
        (entry,) = fetched("data/graph-metadata.json")["graphs"]
        same(entry, Metadata(**entry))
        graph = fetched(f"graph_data/{entry['slug']}.json")
        same(graph, Model(**graph))
        for node in graph["nodes"]:
            same(node, Node(**node))
        features = 0
        for node in graph["nodes"]:
            if node["feature_type"] == "cross layer transcoder":
                feature = fetched(f"{entry['scan'].removeprefix('./')}/{node['feature']}.json")
                same(feature, Feature(**feature))
                features += 1
    finally:
        server.stop()
    print(json.dumps({"nodes": len(graph["nodes"]), "links": len(graph["links"]), "features": features}))


if __name__ == "__main__":
    main()
