"""A run has the cells that it needs and no others, the longest chain of work first."""

import pytest
from toy_methods import FITTED, ROOT, SPARSE, installed, toy_method

from benchmark.running.config import configure
from benchmark.running.plan import expected_seconds, plan

TASKS = ["for_while", "nonsense"]


@pytest.fixture(autouse=True)
def _toy_methods():
    with installed(ROOT, SPARSE, FITTED):
        yield


def labels(made, kind):
    return [cell.label for cell in made.cells if cell.kind == kind]


def made_of(methods, seeds=(0,), changes=()):
    return plan(configure("smoke", methods, TASKS, seeds, changes))


def test_one_method_needs_the_corpus_its_training_its_profile_and_a_circuit_for_each_graph_and_task():
    made = made_of(["root"])
    assert labels(made, "corpus") == ["corpus"]
    assert labels(made, "train") == ["train root seed 0"]
    assert labels(made, "profile") == ["profile root native seed 0"]
    assert sorted(labels(made, "circuit")) == [
        f"circuit root native {graph} {task} seed 0" for graph in ("channel", "unit") for task in TASKS
    ]
    assert made.added == {}


def test_a_method_that_is_needed_is_trained_but_not_searched_and_it_is_said():
    made = made_of(["fitted"])
    assert set(labels(made, "train")) == {"train root seed 0", "train fitted seed 0"}
    assert all("fitted" in label for label in labels(made, "circuit") + labels(made, "profile"))
    assert made.added == {"root": "fitted is fitted on it or explains its model"}


def test_a_circuit_reads_every_model_that_it_is_loaded_from_or_held_to():
    circuit = next(cell for cell in made_of(["fitted"]).cells if cell.kind == "circuit")
    assert circuit.needs.keys() == {"corpus", "root", "fitted", "profile", "prompts"}


def test_the_prompts_of_each_task_and_seed_are_checked_on_the_corpus_alone():
    checks = [cell for cell in made_of(["all"], seeds=[0, 1]).cells if cell.kind == "prompts"]
    assert sorted(cell.label for cell in checks) == [f"prompts {task} seed {seed}" for task in TASKS for seed in (0, 1)]
    assert all(cell.needs.keys() == {"corpus"} for cell in checks)


def claims_of(made):
    return {cell.label: cell for cell in made.cells if cell.kind == "claims"}


def test_every_variant_has_its_claims_measured():
    made = made_of(["all"], seeds=[0, 1])
    assert len(labels(made, "claims")) == 2 * 4
    cell = claims_of(made)["claims fitted errors_available seed 1"]
    assert cell.needs.keys() == {"corpus", "root", "fitted", "profile"}
    assert cell.needs["profile"].label == "profile fitted errors_available seed 1"


def test_claims_read_the_reference_of_the_same_seed_and_its_own_those_of_the_next():
    found = claims_of(made_of(["all"], seeds=[0, 1, 2], changes=["claims.reference=root"]))
    assert {label: cell.needs["reference"].label for label, cell in found.items() if "errors" not in label} == {
        "claims root native seed 0": "train root seed 1",
        "claims root native seed 1": "train root seed 2",
        "claims root native seed 2": "train root seed 0",
        **{f"claims sparse native seed {seed}": f"train root seed {seed}" for seed in (0, 1, 2)},
    }


def test_there_is_no_reference_where_the_run_has_none_or_no_second_seed_of_it():
    for methods in (["root"], ["sparse"]):
        for cell in claims_of(made_of(methods, changes=["claims.reference=root"])).values():
            assert "reference" not in cell.needs


def test_training_reads_the_models_that_the_method_is_fitted_on_with_the_same_seed():
    made = made_of(["fitted"], seeds=[0, 1])
    for cell in made.cells:
        if cell.label.startswith("train fitted"):
            assert cell.needs["root"].params["seed"] == cell.params["seed"]


def test_every_cell_comes_once_and_after_those_that_it_needs():
    made = made_of(["all"], seeds=[0, 1, 2])
    seen = set()
    for cell in made.cells:
        assert cell.key not in seen
        assert all(need.key in seen for need in cell.needs.values())
        seen.add(cell.key)


def test_what_the_longest_chain_waits_for_comes_first():
    with installed(ROOT, SPARSE, FITTED):
        run = configure("smoke", ["all"], TASKS)
        slow = run.__class__(**{**run.__dict__, "seconds": {"train": 10.0, "train sparse": 100.0, "circuit": 1.0}})
        assert labels(plan(slow), "train") == ["train sparse seed 0", "train root seed 0", "train fitted seed 0"]


def test_a_setting_changes_the_keys_of_what_depends_on_it_alone():
    before = {cell.label: cell.key for cell in made_of(["all"]).cells}
    after = {cell.label: cell.key for cell in made_of(["all"], changes=["fitted.steps=3"]).cells}
    changed = {label for label in before if before[label] != after[label]}
    assert changed == {label for label in before if "fitted" in label}
    finder = {cell.label: cell.key for cell in made_of(["all"], changes=["circuit.target_loss=0.1"]).cells}
    assert {label for label in before if before[label] != finder[label]} == {
        label for label in before if label.startswith("circuit")
    }


def test_raising_the_version_of_a_method_trains_it_anew():
    before = {cell.label: cell.key for cell in made_of(["root"]).cells}
    with installed(toy_method("root", version=2)):
        after = {cell.label: cell.key for cell in made_of(["root"]).cells}
    assert before["corpus"] == after["corpus"]
    assert before["train root seed 0"] != after["train root seed 0"]


def test_a_changed_corpus_folder_changes_every_key(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.py").write_text("x = 1\n" * 1000)
    change = f'corpus.sources={{"path:{tmp_path}" = 1.0}}'
    before = {cell.key for cell in made_of(["root"], changes=[change]).cells}
    (tmp_path / "a.py").write_text("x = 2\n" * 1000)
    assert not before & {cell.key for cell in made_of(["root"], changes=[change]).cells}


def test_the_expected_time_is_that_of_the_longest_chain_when_workers_abound():
    cells = made_of(["fitted"]).cells

    def seconds(cell):
        return {"corpus": 1.0, "train": 10.0, "profile": 2.0, "circuit": 5.0}.get(cell.kind, 3.0)

    assert expected_seconds(cells, seconds, 1) == sum(map(seconds, cells))
    assert expected_seconds(cells, seconds, 100) == 1 + 10 + 10 + 2 + 5
    assert expected_seconds([], seconds, 2) == 0
