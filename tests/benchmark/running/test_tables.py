"""What a run puts into a folder of tables: of its cells nothing old stays, of all others everything."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from toy_methods import FITTED, ROOT, SPARSE, installed

from benchmark.concepts import concepts_digest
from benchmark.metrics import METRICS
from benchmark.records.curves import CurvePoint, write_points
from benchmark.records.table import Measurement, Record, read_costs, read_records, write_measurements, write_table
from benchmark.running import experiment
from benchmark.running.cells import Order
from benchmark.running.config import configure
from benchmark.running.experiment import RUN, read_experiment, recorded_kernels
from benchmark.running.plan import plan
from benchmark.running.schedule import Outcome
from benchmark.running.store import CorruptArtifactError, Store
from benchmark.running.tables import check_tables, write_tables
from benchmark.tasks import TASKS, FormsOfTask, forms_by_task, forms_digest

TABLES = ("records.csv", "curves.csv", "leaderboard.csv")


def run_of(methods=("root",), changes=(), tasks=("for_while",), seeds=(0,)):
    return configure("smoke", methods, tasks, seeds, changes)


def measured(cell) -> list[Measurement]:
    """What a cell measures; a second circuit only if one was searched."""
    if cell.kind == "circuit":
        second = [Measurement("second_circuit_nodes", 9.0)] * cell.params["circuit"]["redundancy"]
        return [Measurement("edges", 7.0), Measurement("faithfulness", 1 / 3), *second]
    if cell.kind == "validity":
        return [Measurement("label_replacement_score", 0.5, concept="in_string"), Measurement("named_nodes", 3.0)]
    metrics = {"profile": "validation_loss", "claims": "replaced_kl"}
    return [Measurement(metrics[cell.kind], 2.0)] if cell.kind in metrics else []


def finished(run, store, failing=()) -> list[Outcome]:
    """How the cells of a run end, those of some kinds by failing."""
    outcomes = []
    for cell in plan(run).cells:
        if cell.kind in failing:
            outcomes.append(Outcome(cell, "failed", "WorkerDied: was killed by SIGKILL"))
            continue
        order = Order(cell.key, cell.kind, "toy:compute", {}, {})
        folder = store.partial(order)
        write_measurements(measured(cell), folder)
        if cell.kind in ("circuit", "claims"):
            write_points([CurvePoint("depth", "layers", 1.0, "kl", 0.5, 8)], folder)
        store.commit(order, seconds=1.0, peak_memory=2**20)
        outcomes.append(Outcome(cell, "computed"))
    return outcomes


def write(run, out, store, failing=()):
    write_tables(run, finished(run, store, failing), store, out, workers=2)


def contents(out):
    return {name: (out / name).read_text() for name in TABLES}


@pytest.fixture(autouse=True)
def _toys():
    with installed(ROOT, SPARSE, FITTED):
        yield


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


KINDS = ("circuit", "profile", "validity", "claims")


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_cell_says_so_for_all_that_it_may_measure_and_leaves_no_old_number(tmp_path, store, kind):
    write(run_of(), tmp_path, store)
    write(run_of(), tmp_path, store, failing=(kind,))
    failed = {row.metric for row in read_records(tmp_path / "records.csv") if row.status == "failed"}
    assert failed == {name for name, metric in METRICS.items() if metric.cell == kind}
    of_cell = [row for row in read_records(tmp_path / "records.csv") if row.cell.kind == kind]
    assert {row.status for row in of_cell} == {"failed"}
    assert kind not in {row.kind for row in read_costs(tmp_path / "costs.csv")}


@pytest.mark.parametrize("kind", KINDS)
def test_what_failed_and_was_repaired_has_the_bytes_of_an_undisturbed_run(tmp_path, store, kind):
    write(run_of(("root", "fitted")), tmp_path / "undisturbed", store)
    write(run_of(("root", "fitted")), tmp_path / "repaired", store, failing=(kind,))
    assert contents(tmp_path / "repaired") != contents(tmp_path / "undisturbed")
    write(run_of(("root", "fitted")), tmp_path / "repaired", store)
    assert contents(tmp_path / "repaired") == contents(tmp_path / "undisturbed")


def test_what_a_cell_no_longer_measures_is_gone(tmp_path, store):
    with_second = run_of(changes=["circuit.redundancy=true"])
    write(with_second, tmp_path / "two", store)
    assert "second_circuit_nodes" in (tmp_path / "two" / "records.csv").read_text()
    (tmp_path / "two" / RUN).write_text(json.dumps(read_run(tmp_path / "two", redundancy=False)))
    write(run_of(), tmp_path / "two", store)
    write(run_of(), tmp_path / "one", store)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def read_run(out, **circuit):
    content = json.loads((out / RUN).read_text())
    content["settings"]["circuit"].update(circuit)
    return content


def test_a_metric_that_is_no_longer_known_goes_with_its_cell(tmp_path, store):
    write(run_of(), tmp_path, store)
    before, rows = contents(tmp_path), read_records(tmp_path / "records.csv")
    write_table(tmp_path / "records.csv", [*rows, *(replace(row, metric="old") for row in rows[:1])], Record)
    write(run_of(), tmp_path, store)
    assert contents(tmp_path) == before


def test_rows_of_other_cells_stay(tmp_path, store):
    write(run_of(seeds=(0,)), tmp_path / "one", store)
    write(run_of(("sparse",), seeds=(1,), tasks=("with_as",)), tmp_path / "one", store)
    found = {(row.method, row.seed, row.task) for row in read_records(tmp_path / "one" / "records.csv")}
    assert found == {("root", 0, ""), ("root", 0, "for_while"), ("sparse", 1, ""), ("sparse", 1, "with_as")}
    write(run_of(("sparse",), seeds=(1,), tasks=("with_as",)), tmp_path / "two", store)
    write(run_of(seeds=(0,)), tmp_path / "two", store)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_leaderboard_follows_from_the_records_as_they_stand_in_the_file(tmp_path, store):
    from benchmark.leaderboard.ranking import leaderboard, rules_of, table

    write(run_of(), tmp_path, store)
    rules = {"smoke": rules_of(run_of().circuit)}
    assert contents(tmp_path)["leaderboard.csv"] == table(leaderboard(read_records(tmp_path / "records.csv"), rules))


# To which experiment a folder belongs


def test_run_json_says_what_made_the_tables(tmp_path, store):
    write(run_of(), tmp_path / "out", store)
    write(run_of(("fitted",), seeds=(2, 1), tasks=("with_as",)), tmp_path / "out", store)
    text = (tmp_path / "out" / RUN).read_text()
    found = read_experiment(tmp_path / "out")
    covered = found.tables["records.csv"]
    assert (covered.methods, covered.tasks, covered.seeds) == (("root", "fitted"), ("for_while", "with_as"), (0, 1, 2))
    assert found.preset == "smoke"
    assert found.settings.keys() == {*("corpus", "circuit", "profile", "validity", "claims"), "root", "fitted"}
    assert found.settings["circuit"]["target_loss"] == 0.15
    assert found.settings["root"]["density"] == 0.5
    assert found.corpus == plan(run_of()).cells[0].key
    assert len(found.origins) == 1
    assert found.origins[0].libraries.keys() >= {"python", "torch"}
    assert found.origins[0].cores >= 1
    assert str(Path.home()) not in text
    assert str(tmp_path) not in text


def test_the_same_run_again_changes_no_byte_of_run_json(tmp_path, store):
    write(run_of(), tmp_path, store)
    before = (tmp_path / RUN).read_bytes()
    write(run_of(), tmp_path, store)
    assert (tmp_path / RUN).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ("circuit.target_loss=0.1", "circuit.target_loss is 0.15 there and 0.1 here"),
        ("circuit.redundancy=true", "circuit.redundancy is False there and True here"),
        ("corpus.seed=3", "corpus.seed is 0 there and 3 here"),
        ("corpus.sources={idioms=1.0}", "corpus.sources.idioms is 0.8 there and 1.0 here"),
        ("validity.top_k=5", "validity.top_k is 100 there and 5 here"),
        ("root.model.width=9", "root.model.width is 8 there and 9 here"),
        ("root.density=0.25", "root.density is 0.5 there and 0.25 here"),
    ],
)
def test_other_settings_are_refused_with_both_values(tmp_path, store, change, differs):
    write(run_of(), tmp_path, store)
    check_tables(tmp_path, run_of(("root", "sparse"), seeds=(0, 4)))
    with pytest.raises(ValueError, match="choose another --out") as error:
        check_tables(tmp_path, run_of(changes=[change]))
    assert differs in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_of_a_method_that_the_folder_does_not_have_are_added(tmp_path, store):
    write(run_of(), tmp_path, store)
    check_tables(tmp_path, run_of(("sparse",), changes=["sparse.density=0.25"]))
    write(run_of(("sparse",), changes=["sparse.density=0.25"]), tmp_path, store)
    with pytest.raises(ValueError, match=r"sparse.density is 0.25 there and 0.5 here"):
        check_tables(tmp_path, run_of(("sparse",)))


def test_run_json_records_the_forms_of_the_tasks_and_adds_those_of_more_tasks(tmp_path, store):
    write(run_of(), tmp_path, store)
    forms = read_experiment(tmp_path).forms
    assert forms.count == len(TASKS["for_while"].all_forms)
    write(run_of(tasks=("with_as",)), tmp_path, store)
    joined = read_experiment(tmp_path).forms
    assert joined.count == forms.count + len(TASKS["with_as"].all_forms)
    assert joined.digest == forms_digest(forms_by_task([TASKS["for_while"], TASKS["with_as"]]))


def test_other_forms_of_a_task_are_refused(tmp_path, store, monkeypatch):
    write(run_of(), tmp_path, store)
    other = FormsOfTask(12, "0" * 64)
    monkeypatch.setattr(experiment, "forms_by_task", lambda tasks: {task.name: other for task in tasks})
    with pytest.raises(ValueError, match=r"the digest of the forms of for_while is \w{12} there and 0{12} here"):
        check_tables(tmp_path, run_of())


def test_a_run_json_from_before_tasks_had_forms_takes_them_from_the_next_run(tmp_path, store):
    write(run_of(), tmp_path, store)
    content = json.loads((tmp_path / RUN).read_text())
    del content["forms"]
    (tmp_path / RUN).write_text(json.dumps(content))
    write(run_of(seeds=(1,)), tmp_path, store)
    assert read_experiment(tmp_path).forms.tasks.keys() == {"for_while"}


def computed_with(run, store, out, **kernels):
    outcomes = [replace(outcome, kernels=kernels) for outcome in finished(run, store)]
    write_tables(run, outcomes, store, out, workers=2)


def test_run_json_records_the_kernels_and_keeps_them_if_nothing_is_computed(tmp_path, store):
    assert recorded_kernels(tmp_path) == {}
    computed_with(run_of(), store, tmp_path, linear="onednn")
    assert recorded_kernels(tmp_path) == {"linear": "onednn"}
    before = (tmp_path / RUN).read_bytes()
    found = [Outcome(cell, "found") for cell in plan(run_of()).cells]
    write_tables(run_of(), found, store, tmp_path, workers=2)
    assert (tmp_path / RUN).read_bytes() == before


def test_other_kernels_are_no_other_settings_and_the_last_ones_are_recorded(tmp_path, store):
    computed_with(run_of(), store, tmp_path, linear="onednn", other="slow")
    check_tables(tmp_path, run_of(seeds=(1,)))
    computed_with(run_of(seeds=(1,)), store, tmp_path, linear="library")
    assert recorded_kernels(tmp_path) == {"linear": "library", "other": "slow"}


def test_a_run_json_from_before_kernels_were_recorded_takes_them_from_the_next_run(tmp_path, store):
    write(run_of(), tmp_path, store)
    content = json.loads((tmp_path / RUN).read_text())
    del content["kernels"]
    (tmp_path / RUN).write_text(json.dumps(content))
    assert recorded_kernels(tmp_path) == {}
    computed_with(run_of(seeds=(1,)), store, tmp_path, linear="library")
    assert recorded_kernels(tmp_path) == {"linear": "library"}


def test_other_concepts_are_refused(tmp_path, store, monkeypatch):
    write(run_of(), tmp_path, store)
    assert read_experiment(tmp_path).concepts == concepts_digest()
    monkeypatch.setattr(experiment, "concepts_digest", lambda: "0" * 64)
    with pytest.raises(ValueError, match=r"the digest of the concepts is \w{12} there and 0{12} here"):
        check_tables(tmp_path, run_of())


def test_a_folder_from_before_concepts_had_a_digest_does_not_get_one_as_its_rows_may_have_other_labels(tmp_path, store):
    write(run_of(), tmp_path, store)
    content = json.loads((tmp_path / RUN).read_text())
    del content["concepts"]
    (tmp_path / RUN).write_text(json.dumps(content))
    write(run_of(seeds=(1,)), tmp_path, store)
    assert read_experiment(tmp_path).concepts is None


def test_another_corpus_of_the_same_settings_is_refused(tmp_path, store):
    write(run_of(), tmp_path, store)
    (tmp_path / RUN).write_text(json.dumps(read_run(tmp_path) | {"corpus": "0" * 64}))
    with pytest.raises(ValueError, match="the digest of the corpus is 000000000000 there and"):
        check_tables(tmp_path, run_of())


def test_another_preset_is_refused_by_its_name_alone(tmp_path, store):
    write(run_of(), tmp_path, store)
    with pytest.raises(ValueError, match=r"settings: preset is 'smoke' there and 'quick' here: choose another --out"):
        check_tables(tmp_path, configure("quick", ["root"]))


def test_a_folder_of_documents_goes_by_its_name(tmp_path, store):
    documents = tmp_path / "secret" / "texts"
    documents.mkdir(parents=True)
    for number in range(60):
        (documents / f"{number}.py").write_text(f"x{number} = {number}\n" * 9)
    write(run_of(changes=[f'corpus.sources={{"path:{documents}"=1.0}}']), tmp_path / "out", store)
    assert "secret" not in (tmp_path / "out" / RUN).read_text()
    assert "path:texts" in read_experiment(tmp_path / "out").settings["corpus"]["sources"]


def test_tables_of_unknown_settings_are_left_alone(tmp_path, store):
    write(run_of(), tmp_path, store)
    (tmp_path / RUN).unlink()
    with pytest.raises(ValueError, match=r"holds tables without a run\.json.*choose another --out"):
        check_tables(tmp_path, run_of())


def test_a_run_json_that_no_run_wrote_is_named(tmp_path, store):
    write(run_of(), tmp_path, store)
    (tmp_path / RUN).write_text('{"preset": "smoke"}')
    with pytest.raises(ValueError, match=r"run\.json was not written by a run: settings is missing"):
        check_tables(tmp_path, run_of())


@pytest.mark.parametrize(("method", "stays"), [("root", False), ("sparse", True)])
def test_rows_by_an_older_definition_that_a_run_would_leave_there_are_refused_first(tmp_path, store, method, stays):
    write(run_of((method,)), tmp_path, store)
    rows = [replace(row, metric_version=0) for row in read_records(tmp_path / "records.csv") if row.metric == "edges"]
    write_table(tmp_path / "records.csv", rows, Record)
    if stays:
        with pytest.raises(ValueError, match="edges of sparse, seed 0, by version 0 of its definition, now 2"):
            check_tables(tmp_path, run_of())
    else:
        check_tables(tmp_path, run_of())


# Two runs at once


def write_seed(seed, root, barrier):
    with installed(ROOT):
        store, run = Store(root / f"store{seed}"), run_of(seeds=(seed,))
        outcomes = finished(run, store)
        barrier.wait(60)
        for _ in range(3):
            write_tables(run, outcomes, store, root / "out", workers=1)


def test_two_runs_that_write_at_once_lose_and_tear_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    processes = [context.Process(target=write_seed, args=(seed, tmp_path, barrier)) for seed in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert {row.seed for row in read_records(tmp_path / "out" / "records.csv")} == {0, 1}
    assert read_experiment(tmp_path / "out").tables["records.csv"].seeds == (0, 1)
    assert not list((tmp_path / "out").glob(".*.partial"))


# What has changed on the disk


def test_rows_are_not_made_from_an_artifact_that_was_changed(tmp_path, store):
    outcomes = finished(run_of(), store)
    circuit = next(outcome.cell for outcome in outcomes if outcome.cell.kind == "circuit")
    file = store.artifact(circuit.key) / "records.json"
    file.write_text(file.read_text().replace("7.0", "9.0"))
    with pytest.raises(CorruptArtifactError, match=r"is corrupt: records\.json does not have"):
        write_tables(run_of(), outcomes, store, tmp_path / "out", workers=2)
    assert not (tmp_path / "out" / "records.csv").exists()
