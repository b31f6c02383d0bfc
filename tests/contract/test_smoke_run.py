"""Preset smoke end to end: every method once, resumed, and the same bytes with one worker and with two."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from guides import blocks, commands, follow, pages
from safetensors.torch import load_file
from stated import bytes_of_files, check_stated

from benchmark.cli import main
from benchmark.methods import METHODS
from benchmark.planning.needs import Planned
from benchmark.report.page.page import SECTIONS
from benchmark.running.config import configure
from benchmark.running.plan import plan
from benchmark.running.store import MANIFEST, CorruptArtifactError, Store

pytestmark = pytest.mark.long

FEWER = (
    "--tasks",
    "single_double_quote",
    "--set",
    "validity.piloted=1",
    "--set",
    "validity.concepts=['in_string']",
)
"""What is left out of the preset: more of the same would show nothing else."""

SMOKE = ("--preset", "smoke", *FEWER)

POSITIONS, LENGTHS = 200, 20
"""How many bytes of an artifact are flipped, and at how many lengths it is cut off."""

BENCH = [str(Path(sys.executable).with_name("bench"))]


def bench(folder, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*BENCH, *arguments], cwd=folder, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    done = bench(folder, "run", *SMOKE, "--workers", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done


def rows(folder, name="records.csv"):
    with (folder / "results" / name).open() as file:
        return list(csv.DictReader(file))


def test_every_method_is_on_the_leaderboard_of_a_smoke_run(run):
    folder, _ = run
    assert {row["method"] for row in rows(folder, "leaderboard.csv")} == {
        name for name, method in METHODS.items() if not method.by_name
    }


def test_a_run_writes_its_page_and_every_section_of_it(run):
    folder, done = run
    assert "page in results/report.html" in done.stderr
    page = (folder / "results" / "report.html").read_text()
    assert page.count("<section ") == len(SECTIONS)
    assert "This section could not be made" not in page
    assert str(folder) not in page


def test_the_plan_states_the_files_and_parameters_that_the_run_has(run):
    folder, _ = run
    settings = configure("smoke", tasks=["single_double_quote"], changes=FEWER[3::2])
    planned, stated, stored = Planned(settings), {}, {}
    for cell in plan(settings).cells:
        kind, artifact = cell.kind, folder / "store" / "artifacts" / cell.key
        stated[kind] = stated.get(kind, 0) + planned.needs(cell).store_bytes
        stored[kind] = stored.get(kind, 0) + bytes_of_files(artifact)
        if kind == "train":
            facts = json.loads((artifact / "facts.json").read_text())
            size = planned.resources(METHODS[cell.params["method"]]).variants
            most = max(variant.parameters for variant in size.values())
            assert facts["parameters"] + facts["bigram_parameters"] <= 1.01 * most
    for kind in ("corpus", "train", "profile", "circuit"):
        check_stated(stated[kind], stored[kind])
    check_stated(sum(stated.values()), sum(stored.values()))


def test_every_circuit_has_a_row_for_every_size_and_none_failed(run):
    folder, _ = run
    found = rows(folder)
    assert not [row["reason"] for row in found if row["status"] == "failed"]
    for metric in ("nodes", "edges", "faithfulness", "necessity", "cpr"):
        keys = {(row["method"], row["variant"], row["graph"], row["task"]) for row in found if row["metric"] == metric}
        assert len(keys) == 16, metric


def test_whole_dense_model_is_what_dictionaries_with_their_errors_compute(run):
    folder, _ = run
    losses = {
        (row["method"], row["variant"]): float(row["value"])
        for row in rows(folder)
        if row["metric"] == "validation_loss"
    }
    for method in ("sae", "transcoder", "clt", "random_dictionary"):
        assert losses[method, "errors_available"] == pytest.approx(losses["dense", "native"], abs=1e-5)


def test_second_run_computes_nothing_and_changes_no_byte(run):
    folder, _ = run
    before = (folder / "results" / "records.csv").read_bytes()
    again = bench(folder, "run", *SMOKE, "--no-page")
    assert again.returncode == 0
    assert "computed" not in again.stderr
    assert (folder / "results" / "records.csv").read_bytes() == before


def test_circuits_recomputed_by_one_worker_are_the_same_bytes(run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run[0], folder)
    before = (folder / "results" / "records.csv").read_bytes()
    store = Store(folder / "store")
    for manifest in (folder / "store").glob("artifacts/*/manifest.json"):
        facts = json.loads(manifest.read_text())
        if facts["kind"] in ("circuit", "profile") and facts["params"]["method"] == "clt":
            store.discard(manifest.parent.name)
    again = bench(folder, "run", *SMOKE, "--workers", "1", "--method", "clt", "--no-page")
    assert again.returncode == 0, again.stderr[-2000:]
    assert (folder / "results" / "records.csv").read_bytes() == before


@pytest.fixture(scope="module")
def kinds(run):
    """The store of the run, and one artifact of each kind of cell by kind."""
    store = Store(run[0] / "store")
    found = {}
    for folder in sorted((store.root / "artifacts").iterdir()):
        found.setdefault(store.manifest(folder.name).kind, folder.name)
    assert {"corpus", "prompts", "train", "profile", "circuit", "validity", "claims"} <= found.keys()
    return store, found


def copied(store, key, folder):
    """A store of one artifact, and its files."""
    copy = Store(folder / "store")
    target = copy.root / "artifacts" / key
    shutil.copytree(store.root / "artifacts" / key, target)
    return copy, sorted(path for path in target.rglob("*") if path.is_file())


def is_detected(store, key):
    try:
        return Store(store.root).find(key) is None
    except CorruptArtifactError:
        return True


@pytest.mark.parametrize("kind", ["corpus", "prompts", "train", "profile", "circuit", "validity", "claims"])
def test_every_flipped_byte_and_every_truncation_is_found_out(kinds, tmp_path, kind):
    store, found = kinds
    copy, files = copied(store, found[kind], tmp_path)
    chance, tried = random.Random(kind), 0
    assert not is_detected(copy, found[kind])
    for file in files:
        content = file.read_bytes()
        changes = [
            _flipped(content, chance) for _ in range(POSITIONS if len(files) < 3 or file.name == MANIFEST else 40)
        ]
        changes += [content[: chance.randrange(len(content))] for _ in range(LENGTHS)] if content else []
        for changed in changes:
            file.write_bytes(changed)
            assert is_detected(copy, found[kind]), (file.name, len(changed))
            tried += 1
        file.write_bytes(content)
    assert not is_detected(copy, found[kind])
    assert tried >= POSITIONS + LENGTHS


def _flipped(content, chance):
    if not content:
        return b"\0"
    position = chance.randrange(len(content))
    return content[:position] + bytes([content[position] ^ (1 << chance.randrange(8))]) + content[position + 1 :]


def test_an_artifact_in_the_place_of_another_is_found_out(kinds, tmp_path):
    store, found = kinds
    for kind, key in found.items():
        for other_kind, other in found.items():
            if kind != other_kind:
                copy = Store(tmp_path / f"{kind} {other_kind}")
                shutil.copytree(store.root / "artifacts" / other, copy.root / "artifacts" / key)
                assert is_detected(copy, key)


def test_files_of_another_artifact_of_the_same_kind_are_found_out(kinds, tmp_path):
    store, found = kinds
    key = found["circuit"]
    other = next(
        folder
        for folder in sorted((store.root / "artifacts").iterdir())
        if folder.name != key and store.manifest(folder.name).kind == "circuit"
    )
    copy, files = copied(store, key, tmp_path)
    for file in files:
        content = file.read_bytes()
        if (other / file.name).read_bytes() != content:
            shutil.copy(other / file.name, file)
            assert is_detected(copy, key), file.name
            file.write_bytes(content)
    assert not is_detected(copy, key)


@pytest.mark.slow
def test_sweep_goes_on_from_the_run_and_tells_how_features_split(run):
    folder, _ = run
    done = bench(folder, "sweep", "sae", *SMOKE, "--workers", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    found = rows(folder, "sweep.csv")
    assert len(found) == 5
    assert all(float(row["concept_splits"]) >= 1 for row in found)
    assert [row["feature_splits"] == "" for row in found] == [True, False, False, False, False]
    assert all(float(row["splitting"]) > 0 for row in found[1:])


def test_circuit_is_shown_with_its_nodes(run):
    folder, _ = run
    shown = bench(folder, "show", "dense", "single_double_quote")
    assert shown.returncode == 0, shown.stderr
    assert "dense native, unit graph, task single_double_quote" in shown.stdout


def followed(page, name, monkeypatch, folder):
    """What a code block of a guide leaves behind, executed in the folder of a run."""
    monkeypatch.chdir(folder)
    (text,) = [text for _, called, text in blocks(page) if called == name]
    seen = {}
    exec(compile(text, name, "exec"), seen)
    return text, seen


def test_the_ten_lines_for_a_notebook_find_and_score_the_circuit_of_the_run(run, monkeypatch):
    text, seen = followed("notebook.md", "notebook.py", monkeypatch, run[0])
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    where = {"method": "weight_sparse", "graph": "unit", "task": "single_double_quote", "ranking": "mask"}
    recorded = [row for row in rows(run[0]) if where.items() <= row.items()]
    store = seen["run"].store
    folder = store.artifact(store.key_of(recorded[0]["config_hash"]))
    assert load_file(folder / "order.safetensors")["order"].equal(seen["found"].order)
    scores = {(row.metric, row.concept, row.ablation): row for row in seen["scores"].itertuples()}
    assert scores.keys() == {(row["metric"], row["concept"], row["ablation"]) for row in recorded}
    for row in recorded:
        mine = scores[row["metric"], row["concept"], row["ablation"]]
        assert mine.status == row["status"]
        assert mine.value == pytest.approx(float(row["value"] or "nan"), rel=1e-5, nan_ok=True)
    assert [row.concept for row in seen["labels"].concepts] == ["in_string"]
    assert "<td>in_string</td>" in seen["labels"]._repr_html_()
    assert len(seen["board"]) == len(rows(run[0], "leaderboard.csv"))
    assert [row.place.method for row in seen["board"]] == [row["method"] for row in rows(run[0], "leaderboard.csv")]


def test_the_python_of_the_readme_scores_the_circuit_of_the_run(run, monkeypatch):
    monkeypatch.chdir(run[0])
    seen = follow("README.md")
    assert "faithfulness" in set(seen["scores"]["metric"])


SHOWN = sorted(
    {
        tuple(words[1:])
        for page in pages()
        for _, words in commands(page)
        if words[0] == "bench" and words[1] in ("show", "compare", "claims", "store") and "--out" not in words
        if not {"gc", "closing", "hooked", "sarcastic", "line_starts_with_import", "my_hooked"} & set(words)
    }
)
"""The commands of all pages that look at the run of a page before."""


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_a_command_of_the_pages_shows_the_run(run, monkeypatch, words):
    monkeypatch.chdir(run[0])
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()


@pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")
def test_a_model_without_a_run_is_searched_and_scored_as_the_guide_says(run, monkeypatch):
    _, seen = followed("notebook.md", "own_model.py", monkeypatch, run[0])
    assert set(seen["scores"].status) <= {"unsolved", "ok", "undefined"}
    assert seen["found"].losses["whole"] > 0.15


def test_the_metrics_of_the_guide_are_what_it_says(run, monkeypatch):
    text, seen = followed("notebook.md", "metrics.py", monkeypatch, run[0])
    lines = [line.split("  # ") for line in text.splitlines() if "  # " in line]
    assert len(lines) == 3
    for call, said in lines:
        assert eval(call, seen) == pytest.approx(float(said.split()[0]), abs=5e-3)
