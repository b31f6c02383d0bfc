"""The forms that count: judged by hand-made losses, measured on tiny references, and all that a run then poses."""

import csv
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.running.config import configure
from benchmark.running.plan import Planner
from benchmark.studies.forms import FormLoss, counted_forms
from benchmark.tasks import SPLITS, TASKS, posed

FORMS = ("train", "validation", "test")


pytestmark = pytest.mark.usefixtures("cells_computed_here")


def loss(form, split, weight_sparse, dense):
    return FormLoss("for_while", form, split, {"weight_sparse": weight_sparse, "dense": dense})


def test_a_form_counts_if_every_reference_is_at_or_below_the_target():
    losses = [loss("a", "train", 0.15, 0.1), loss("b", "train", 0.1, 0.16), loss("c", "train", 0.2, 0.01)]
    assert [each.counts(0.15) for each in losses] == [True, False, False]


def test_forms_that_count_are_listed_in_the_order_of_the_task():
    kept = [loss(split, split, 0.1, 0.1) for split in FORMS]
    assert counted_forms([*kept, loss("late", "test", 0.3, 0.1)], 0.15) == {"for_while": list(FORMS)}


def test_a_task_is_not_listed_if_all_of_its_forms_count_or_none_of_a_split():
    assert counted_forms([loss(split, split, 0.1, 0.1) for split in FORMS], 0.15) == {}
    assert counted_forms([loss(split, split, 0.1, 0.1 if split != "test" else 0.4) for split in FORMS], 0.15) == {}


def test_a_run_poses_only_the_forms_that_count_and_only_their_task_is_computed_again():
    chosen = [TASKS["for_while"].forms_of(split)[0].name for split in SPLITS]
    listed = f"[{', '.join(map(repr, chosen))}]"
    run = configure("smoke", ["dense"], changes=[f"circuit.forms.for_while={listed}"])
    assert [form.name for form in posed(TASKS["for_while"], run.circuit.forms).all_forms] == chosen
    assert posed(TASKS["with_as"], run.circuit.forms).all_forms == TASKS["with_as"].all_forms
    before, after = Planner(configure("smoke", ["dense"])), Planner(run)
    assert before.prompts("for_while", 0).key != after.prompts("for_while", 0).key
    assert before.prompts("with_as", 0).key == after.prompts("with_as", 0).key


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("poetry=[]", "unknown task 'poetry'"),
        ('for_while=["sonnet"]', "task for_while has no form 'sonnet'; choose from"),
        ("for_while=[]", "no form belongs to train or validation or test; every split needs one"),
        ("for_while=3", "circuit.forms.for_while = 3"),
    ],
)
def test_forms_that_no_task_has_are_refused_in_one_line(setting, said):
    with pytest.raises(ValueError, match=said) as refused:
        configure("smoke", ["dense"], changes=[f"circuit.forms.{setting}"])
    assert len(str(refused.value).splitlines()) == 1


def test_the_command_lists_every_form_and_prints_a_setting_that_a_preset_can_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = ["weight_sparse.tokens=2_000", "dense.tokens=2_000", "circuit.target_loss=0.7", "corpus.tokens=40_000"]
    settings = [word for change in tiny for word in ("--set", change)]
    tasks = ("for_while", "nonsense")
    done = CliRunner().invoke(
        main, ["forms", "--preset", "smoke", "--tasks", ",".join(tasks), "--workers", "1", *settings]
    )
    assert done.exit_code == 0, done.output
    with Path("results/forms.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["form"]) for row in rows] == [
        (task, form.name) for task in tasks for split in SPLITS for form in TASKS[task].forms_of(split)
    ]
    for row in rows:
        assert row["counts"] == str(max(float(row["weight_sparse"]), float(row["dense"])) <= 0.7)
    setting = tomllib.loads(done.stdout[done.stdout.index("[circuit.forms]") :])["circuit"]["forms"]
    for task, names in setting.items():
        assert names == [row["form"] for row in rows if row["task"] == task and row["counts"] == "True"]
    assert all(len(line) <= 80 for line in done.stdout.partition("[circuit.forms]")[0].splitlines())
