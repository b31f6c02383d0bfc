"""The circuits of the page in a browser: 5,000 edges do not stop it, and keys reach, pin and free nodes."""

import json
import random
import re
import shutil
import subprocess
from html import unescape
from importlib import resources

import pytest

from benchmark.export.graph import CircuitEdge, CircuitGraph, CircuitNode, SiteOfGraph
from benchmark.report.page.circuits_data import Interned, drawing
from benchmark.report.page.picture import picture
from benchmark.report.page.templating import embedded, rendered

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

EDGES, WIDTH, SITES = 5_000, 100, 4

HOSTILE = "<img src=x onerror=window.hurt=true>"

FRAME = 100.0
"""Most milliseconds that a frame may take."""

ASKED = """
const side = document.querySelector("#circuits-sides .side");
const nodes = [...side.querySelectorAll(".node")], first = nodes[0];
const [base, lit] = side.querySelectorAll("canvas");
const flushed = () => { lit.getContext("2d").getImageData(0, 0, 1, 1); base.getContext("2d").getImageData(0, 0, 1, 1);
  side.getBoundingClientRect(); };
const timed = (act) => {
  flushed();
  const begun = performance.now();
  act();
  flushed();
  return performance.now() - begun;
};
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const most = document.getElementById("circuits-most");
const found = { told: side.querySelector(".counted").textContent, nodes: nodes.length };
const hover = (node) => node.dispatchEvent(new PointerEvent("pointerenter", { pointerType: "mouse" }));
found.hover = nodes.filter((_, number) => number % 40 === 0).map((node) => timed(() => hover(node)));
found.card = side.querySelector(".card").textContent;
most.value = "100";
found.slide = [1, 2, 3].map(() => timed(() => most.dispatchEvent(new Event("input"))));
found.all = side.querySelector(".counted").textContent;
found.whole = timed(() => window.dispatchEvent(new Event("beforeprint")));
found.rows = side.querySelectorAll("table")[1].tBodies[0].rows.length;
first.focus();
press("ArrowRight");
found.moved = document.activeElement === nodes[1];
press("Enter");
found.pinned = nodes[1].getAttribute("aria-pressed");
found.lit = side.querySelectorAll(".node.lit").length;
press("Escape");
found.freed = nodes[1].getAttribute("aria-pressed");
found.images = document.querySelectorAll("img").length;
document.title = JSON.stringify(found);
"""


def graph():
    generator = random.Random(0)
    hooks = ("blocks.0.v", "blocks.0.neuron", "blocks.1.v", "blocks.1.neuron")
    kinds = ("value", "neuron", "value", "neuron")
    sites = [
        SiteOfGraph(hook, kind, at // 2, WIDTH, at) for at, (hook, kind) in enumerate(zip(hooks, kinds, strict=True))
    ]
    nodes = [CircuitNode(site.name, index, site.layer, site.kind) for site in sites for index in range(WIDTH)]
    pairs = set()
    while len(pairs) < EDGES:
        source, target = sorted(generator.sample(range(SITES), 2))
        ends = hooks[source], generator.randrange(WIDTH), hooks[target], generator.randrange(WIDTH)
        pairs.add(ends)
    edges = [CircuitEdge(f"{a}[{i}]", f"{b}[{j}]", generator.gauss(0, 1)) for a, i, b, j in sorted(pairs)]
    return CircuitGraph("m", "native", "unit", "task", 0, tuple(sites), tuple(nodes), (), tuple(edges))


def data():
    texts = Interned()
    drawn = drawing(picture(graph(), None), {}, texts)
    line = texts(f"{HOSTILE}⟦{HOSTILE}⟧")
    card = {"lines": [[line], [], []], "shares": [0.1, 0.0, 0.0, 0.9], "sign": 1, "words": texts(HOSTILE)}
    shared = {"variant": "native", "graph": "unit", "seed": 0, "ranking": "mask", "status": "ok", "reason": ""}
    circuits = [
        {
            **{"task": HOSTILE, "method": method, "target": 0.15, "scores": [["edges", "5,000"]], "drawing": drawn},
            **{"model": 0, "prompts": 0, "answers": [[1.0, 0.0, 2.0, 0.0]], "pairs": 8},
            **shared,
        }
        for method in ("one", HOSTILE)
    ]
    cards = [{str(name): card for name in drawn["nodes"]["name"]}]
    prompts = [[[HOSTILE, HOSTILE, HOSTILE]]]
    return {
        "tasks": [[HOSTILE, HOSTILE]],
        "circuits": circuits,
        "prompts": prompts,
        "cards": cards,
        "texts": texts.texts,
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    static = resources.files("benchmark.report.page") / "static"
    style, script = ((static / name).read_text(encoding="utf-8") for name in ("circuits.css", "circuits.js"))
    body = f"<section>{rendered('circuits.html', table='', drawn=True)}</section>"
    stored = f'<script type="application/json" id="data-circuits">{embedded(data())}</script>'
    folder = tmp_path_factory.mktemp("circuits")
    file = folder / "circuits.html"
    file.write_text(
        f'<!doctype html><meta charset="utf-8"><style>{style}</style>{body}{stored}'
        f"<script>{script}</script><script>{ASKED}</script>",
        encoding="utf-8",
    )
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    done = subprocess.run(
        [
            browser,
            *flags,
            f"--user-data-dir={folder / 'profile'}",
            "--window-size=1440,900",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(unescape(re.search("<title>(.*?)</title>", done.stdout, re.DOTALL)[1]))


@pytest.mark.slow
def test_a_frame_of_5000_edges_takes_less_than_a_tenth_of_a_second(found):
    assert found["nodes"] == SITES * WIDTH
    assert min(found["hover"]) < FRAME
    assert min(found["slide"]) < FRAME


@pytest.mark.slow
def test_the_number_of_edges_that_are_drawn_is_said(found):
    assert re.match(r"Showing 30\d of 5,000 edges: those of the largest weights, [\d.]+ % of the sum", found["told"])
    assert found["all"] == "Showing all 5,000 edges."
    assert found["rows"] == EDGES


@pytest.mark.slow
def test_arrows_move_enter_pins_and_lights_and_escape_frees(found):
    assert (found["moved"], found["pinned"], found["freed"]) == (True, "true", "false")
    assert found["lit"] > 10


@pytest.mark.slow
def test_text_of_strangers_is_shown_and_not_run(found):
    assert HOSTILE in found["card"]
    assert found["images"] == 0
