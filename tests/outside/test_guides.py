"""Every guide is followed to the letter, and what it adds takes part in everything."""

import csv
import json
import runpy

import numpy as np
import pytest
from guides import DOCS, bench, blocks, install
from toy_methods import registered

from benchmark.concepts import CONCEPTS
from benchmark.concepts.conjunctions import both
from benchmark.concepts.labels import window_labels
from benchmark.corpus.tokenizer import train_tokenizer

PAGES = sorted(page.name for page in DOCS.glob("add-a*.md"))

ADDED = {
    "methods": "my_hooked",
    "tasks": "import_from",
    "concepts": "line_starts_with_import",
    "metrics": "layers_used",
    "rankings": "spread",
    "ablations": "half_mean",
}

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    install(folder, *PAGES)
    return folder


@pytest.fixture(scope="module")
def ran(site, tmp_path_factory):
    """A folder in which the outsider's method has run, on their task, by their ranking."""
    folder = tmp_path_factory.mktemp("run")
    chosen = ("--method", "my_hooked", "--tasks", "import_from,for_while", "--set", "circuit.ranking=spread")
    chosen += ("--workers", "1")
    named = ("--set", 'validity.concepts=["line_starts_with_import", "in_string"]')
    done = bench(site, folder, "run", "--preset", "smoke", *chosen, *named, "--set", "circuit.target_loss=20.0")
    assert done.returncode == 0, done.stderr[-3000:]
    with (folder / "results" / "records.csv").open(encoding="utf-8") as file:
        return folder, list(csv.DictReader(file))


@pytest.mark.parametrize(("kind", "name"), ADDED.items())
def test_what_a_guide_adds_is_listed_with_its_distribution(site, tmp_path, kind, name):
    done = bench(site, tmp_path, "list", kind, "--json")
    assert done.stderr == ""
    found = {row["name"]: row["origin"] for row in json.loads(done.stdout)}
    assert found.pop(name) == "outsider 1.0"
    assert set(found.values()) == {"sparse-circuit-bench"}


def test_an_outside_method_runs_on_an_outside_task_by_an_outside_ranking(ran):
    circuits = [row for row in ran[1] if row["metric"] == "nodes"]
    assert {(row["method"], row["task"], row["ranking"]) for row in circuits} == {
        ("my_hooked", "import_from", "spread"),
        ("my_hooked", "for_while", "spread"),
    }


def test_an_outside_metric_is_measured_of_every_circuit_with_its_unit(ran):
    rows = [row for row in ran[1] if row["metric"] == "layers_used"]
    assert {row["task"] for row in rows} == {"import_from", "for_while"}
    assert {(row["status"], row["value"], row["unit"], row["ablation"]) for row in rows} == {
        ("ok", "0", "layers", "mean")
    }


def test_every_circuit_is_scored_under_an_outside_ablation(ran):
    scored = {(row["task"], row["metric"]) for row in ran[1] if row["ablation"] == "half_mean"}
    wanted = {"faithfulness", "circuit_loss", "random_circuit_loss"}
    assert scored == {(task, metric) for task in ("import_from", "for_while") for metric in wanted}


def test_an_outside_concept_that_is_named_is_known_in_the_workers(ran):
    concepts = {row["concept"] for row in ran[1] if row["metric"] == "label_replacement_score"}
    assert concepts == {"line_starts_with_import", "in_string"}


def test_an_outside_concept_is_labelled_and_conjoined_like_ours(site, monkeypatch):
    assert "line_starts_with_import" not in CONCEPTS  # read before the guide's distribution can be seen
    monkeypatch.syspath_prepend(site)
    concept = runpy.run_path(str(site / "outsider_concept.py"))["IMPORTS"]
    with registered(CONCEPTS, concept):
        tokenizer = train_tokenizer([], 257)
        windows = np.array([tokenizer.encode("import f(2)").ids])
        labels = window_labels([concept], tokenizer, windows, end_of_text=0)
        assert "".join(map(str, labels[concept.name][0])) == "00000111111"
        assert "".join(map(str, both(concept.name, "in_call")("import f(2)"))) == "00000000110"


def test_an_outside_method_is_compared_and_swept_like_ours(site, ran):
    folder, _ = ran
    compared = bench(site, folder, "compare", "my_hooked", "dense")
    assert compared.stderr == "Error: unknown method 'dense' in preset 'smoke'; choose from my_hooked\n"
    swept = bench(site, folder, "sweep", "my_hooked", "--preset", "smoke", "--out", "swept", "--dry-run")
    assert swept.returncode == 0, swept.stderr
    assert "my_hooked      d_model=64" in swept.stdout


def test_the_method_of_the_guide_is_short():
    (text,) = [text for language, _, text in blocks("add-a-method.md") if language == "python"]
    assert len([line for line in text.splitlines() if line.strip()]) <= 40


def test_what_is_broken_is_named_with_its_distribution_and_left_out(site, tmp_path):
    install(tmp_path, "add-a-task.md", also="\n[sparse_circuit_bench.methods]\nbroken = no_such_module:BROKEN\n")
    listed = bench(tmp_path, tmp_path, "list", "methods")
    line = "method broken of outsider 1.0 was left out: ModuleNotFoundError: No module named 'no_such_module'\n"
    assert (listed.returncode, listed.stderr) == (0, line)
    assert listed.stdout.startswith("activation_sparse")
    ran = bench(
        tmp_path, tmp_path, "run", "--preset", "smoke", "--method", "dense", "--tasks", "import_from", "--dry-run"
    )
    assert (ran.returncode, ran.stderr) == (0, line)
