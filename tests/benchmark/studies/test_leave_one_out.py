"""Forms that are held out: by hand, and through the command on a tiny model."""

import math
from random import Random

import pandas as pd
import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.cli.leave_one_out import text
from benchmark.running.config import configure
from benchmark.running.schedule import Outcome
from benchmark.running.store import Store
from benchmark.studies.leave_one_out import by_method, rows_of, searches
from benchmark.tasks import TASKS

pytestmark = pytest.mark.usefixtures("cells_computed_here")


def test_a_form_that_is_held_out_is_the_only_test_form():
    task = TASKS["for_while"]
    first, *others = task.forms_of("train")
    held_out = task.holding_out(first.name)
    assert [form.name for form in held_out.forms_of("test")] == [first.name]
    assert held_out.forms_of("train") == tuple(others)
    assert held_out.forms_of("validation") == task.forms_of("validation")
    pair = held_out.pair(Random(0), "test")
    assert len(pair.prompts) == 2


def test_a_test_form_cannot_be_held_out_and_neither_can_the_last_of_a_split():
    task = TASKS["for_while"]
    test = task.forms_of("test")[0].name
    with pytest.raises(ValueError, match=f"no train or validation form '{test}'; choose from"):
        task.holding_out(test)
    train, validation = (task.forms_of(split)[0].name for split in ("train", "validation"))
    lone = task.posed_in([train, validation, test])
    with pytest.raises(ValueError, match=f"form '{train}' of task for_while is the only one for train prompts"):
        lone.holding_out(train)


def test_every_form_of_train_and_validation_is_held_out_once_and_no_control():
    run = configure("quick", ["dense", "sae"], ["for_while", "nonsense"], [0])
    found = searches(run)
    names = [form.name for split in ("train", "validation") for form in TASKS["for_while"].forms_of(split)]
    assert [each.form for each in found if each.method == "dense"] == names
    assert {each.task for each in found} == {"for_while"}
    assert len({each.cell.key for each in found}) == len(found) == 2 * len(names)
    assert {each.cell.params["circuit"]["held_out"] for each in found} == set(names)
    assert len({each.cell.needs["prompts"].key for each in found}) == len(names)


def test_nothing_to_hold_out_is_an_error_of_one_line():
    with pytest.raises(ValueError, match="no form can be held out of nonsense"):
        searches(configure("quick", ["dense"], ["nonsense"], [0]))
    form = TASKS["for_while"].forms_of("train")[0].name
    with pytest.raises(ValueError, match=f"circuit.held_out is '{form}'; here every form is held out in turn"):
        searches(configure("quick", ["dense"], ["for_while"], [0], [f"circuit.held_out={form}"]))


def test_an_unknown_form_is_refused_before_anything_is_computed():
    with pytest.raises(ValueError, match="task for_while has no train or validation form 'nowhere'; choose from"):
        configure("quick", ["dense"], ["for_while"], [0], ["circuit.held_out=nowhere"])


def test_searches_that_all_failed_have_a_row_each(tmp_path):
    found = searches(configure("quick", ["dense"], ["for_while"], [0]))
    failed = [Outcome(each.cell, "failed") for each in found]
    rows = rows_of(found, failed, Store(tmp_path))
    assert rows["status"].tolist() == ["failed"] * len(found)
    assert by_method(rows, 0.15)[0].reached == 0


def test_forms_are_summed_up_by_method():
    rows = pd.DataFrame(
        [
            ("dense", "ok", 10, 0.1, 0.05),
            ("dense", "not_generalised", 9, 0.7, 0.1),
            ("dense", "not_reached", math.nan, 0.6, 0.1),
            ("dense", "unsolved", 8, 0.6, 0.5),
            ("dense", "failed", math.nan, math.nan, math.nan),
            ("sae", "failed", math.nan, math.nan, math.nan),
        ],
        columns=["method", "status", "edges", "circuit_loss", "whole_loss"],
    )
    dense, sae = by_method(rows, 0.15)
    assert (dense.searches, dense.solved, dense.reached, dense.generalised) == (5, 3, 2, 1)
    assert (dense.loss, dense.whole_loss) == (pytest.approx(0.4), pytest.approx(0.075))
    assert (sae.searches, sae.solved, sae.generalised) == (1, 0, 0)
    lines = text([dense, sae])
    assert all(len(line) <= 80 for line in lines)


def test_the_command_measures_circuits_in_forms_that_their_search_has_not_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, validation, test = (TASKS["for_while"].forms_of(split) for split in ("train", "validation", "test"))
    counting = [train[0].name, train[1].name, validation[0].name, test[0].name]
    command = ["leave-one-out", "dense", "--preset", "smoke", "--tasks", "for_while,nonsense", "--workers", "1"]
    command += ["--set", f"circuit.forms.for_while={counting}", "--set", "circuit.target_loss=0.775"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    rows = pd.read_csv("results/leave_one_out.csv")
    assert rows["form"].tolist() == sorted(counting[:2])
    assert rows[["circuit_loss", "whole_loss"]].notna().all().all()
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 0
    assert pd.read_csv("results/leave_one_out.csv").equals(rows)
