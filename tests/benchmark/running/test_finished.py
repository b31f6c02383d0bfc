"""A finished run is opened by its tables: the store has its models, and what is missing is said in one line."""

import inspect
import json
import re
import shlex
import shutil
from dataclasses import replace

import pytest
import string_closing
import torch
from pydantic import BaseModel
from toy_methods import ROOT, installed, toy_method

from benchmark.methods import Variant
from benchmark.records.table import Measurement, Record, read_records, write_measurements, write_table
from benchmark.running.config import configure
from benchmark.running.experiment import RUN
from benchmark.running.finished import load_leaderboard, load_model, open_run
from benchmark.running.plan import plan
from benchmark.running.schedule import Outcome
from benchmark.running.store import CorruptArtifactError, Store
from benchmark.running.tables import write_tables

WAYS = (Variant("native", ("channel", "unit")), Variant("other", ("unit",)))
HERE = "test_finished:load"
CLOSING = replace(toy_method("closing", needs=("base",), explains="base", variants=WAYS), load=HERE)
BASE = replace(toy_method("base"), load=HERE)


def load(folder, variant, needed):
    model = string_closing.model()
    model.read_from = (json.loads((folder / "name.json").read_text()), variant, sorted(needed))
    return model


@pytest.fixture(autouse=True)
def _toys():
    with installed(ROOT, BASE, CLOSING), torch.no_grad():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with installed(ROOT, BASE, CLOSING):
        return write(tmp_path_factory.mktemp("made"), configure("smoke", ["closing"], ["for_while"], [1, 2]))


@pytest.fixture
def ran(made, tmp_path):
    """The folder of a run of `closing`, for which `base` is trained too, and its store."""
    return tuple(shutil.copytree(folder, tmp_path / folder.name) for folder in made)


def write(folder, run, failing=()):
    store, outcomes = Store(folder / "store"), []
    for cell in plan(run).cells:
        if cell.kind in failing:
            outcomes.append(Outcome(cell, "failed", "ValueError: no luck"))
            continue
        partial = store.partial(cell.order())
        (partial / "name.json").write_text(json.dumps([cell.params.get("method"), cell.params.get("seed")]))
        rows = {"circuit": "edges", "profile": "validation_loss"}
        write_measurements([Measurement(rows[cell.kind], 7.0)] if cell.kind in rows else [], partial)
        store.commit(cell.order(), 1.0, 1)
        outcomes.append(Outcome(cell, "computed"))
    write_tables(run, outcomes, store, folder / "results", workers=1)
    return folder / "results", folder / "store"


def test_a_model_is_found_by_method_seed_and_variant(ran):
    out, store = ran
    model = load_model(out, "closing", seed=2, store=store)
    assert model.read_from == (["closing", 2], "native", ["base"])
    assert load_model(out, "closing", seed=1, variant="other", store=store).read_from[1] == "other"


def test_a_model_that_was_trained_only_for_others_is_found_through_them(ran):
    assert load_model(str(ran[0]), "base", seed=1, store=str(ran[1])).read_from == (["base", 1], "native", [])
    assert open_run(*ran).load_reference("closing", seed=2).read_from == (["base", 2], "native", [])


def test_a_model_is_found_though_circuits_of_it_are_gone(ran):
    store = Store(ran[1])
    for folder in (store.root / "artifacts").iterdir():
        if store.manifest(folder.name).kind == "circuit":
            shutil.rmtree(folder)
    assert load_model(ran[0], "closing", seed=1, store=store.root).read_from[0] == ["closing", 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("closing", {}), "seed 0 of closing is not in the run in folder 'OUT'; choose from 1, 2"),
        (("closing", {"seed": -1}), "seed -1 of closing is not in the run in folder 'OUT'; choose from 1, 2"),
        (("root", {}), "method 'root' is not in the run in folder 'OUT'; choose from base, closing"),
        (("rooot", {}), "unknown method 'rooot'; choose from base, root, closing"),
        (("closing", {"seed": 1, "variant": "x"}), "variant of closing must be native or other, got 'x'"),
        ((None, {}), "method must be named, since 'OUT' has a run; choose from closing"),
    ],
)
def test_what_the_run_does_not_have_is_named_with_the_choices(ran, arguments, message):
    (method, chosen), (out, store) = arguments, ran
    with pytest.raises(ValueError, match=f"^{re.escape(message.replace('OUT', str(out)))}$"):
        load_model(out, method, store=store, **chosen)


def test_a_missing_artifact_is_named_with_the_command_that_makes_it_again(ran, tmp_path):
    out = ran[0]
    command = (
        f"bench run --preset smoke --method closing --seeds 1 --tasks for_while --out {out} --store {tmp_path / 'none'}"
    )
    with pytest.raises(ValueError, match=r"closing, seed 1: store .*none' has none of its artifacts; `bench") as error:
        load_model(out, "closing", seed=1, store=tmp_path / "none")
    assert str(error.value).endswith(f"`{command}` makes it again")
    store = Store(ran[1])
    trained = open_run(*ran).inputs("base", 1)["base"]
    store.discard(trained.name)
    with pytest.raises(ValueError, match=r"^closing, seed 1: store .* has no artifact \w+…; run .*; `bench run"):
        load_model(out, "closing", seed=1, store=store.root)
    assert load_model(out, "closing", seed=2, store=store.root).read_from[0] == ["closing", 2]


def test_the_command_has_the_settings_that_were_changed(tmp_path):
    changes = ["circuit.target_loss=0.25", 'corpus.sources={idioms=0.5, "package:rich"=0.5}', "closing.steps=3"]
    run = configure("smoke", ["closing"], ["for_while"], [1], changes)
    opened = open_run(*write(tmp_path, run))
    words = shlex.split(opened.command("closing", 1))
    again = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert len(again) == 3
    assert configure("smoke", ["closing"], ["for_while"], [1], again) == run


def test_the_command_has_the_settings_that_a_method_asks_of_its_user_and_names_files_of_tasks(tmp_path):
    class Given(BaseModel):
        path: str
        steps: int = 3

    given = replace(toy_method("given", by_name=True), config=Given, load=HERE)
    pairs = tmp_path / "closing.jsonl"
    lines = [{"prompts": [f"a{n}(", f"a{n}["], "answers": [")", "]"], "form": f"form {n % 3}"} for n in range(900)]
    pairs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with installed(ROOT, given):
        changes = ["given.path=here", "circuit.target_loss=0.25"]
        run = configure("smoke", ["given"], [f"file:{pairs}"], [1], changes)
        words = shlex.split(open_run(*write(tmp_path, run)).command("given", 1))
    assert [words[place + 1] for place, word in enumerate(words) if word == "--set"] == [
        "circuit.target_loss=0.25",
        'given.path="here"',
    ]
    assert words[words.index("--tasks") + 1] == "file:closing.jsonl"


def test_a_method_that_was_trained_only_for_others_has_its_seeds(ran):
    assert open_run(*ran).seeds("base") == open_run(*ran).seeds("closing") == [1, 2]
    with pytest.raises(ValueError, match="method 'root' is not in the run"):
        open_run(*ran).seeds("root")


def test_a_method_that_failed_says_why(tmp_path):
    out, store = write(tmp_path, configure("smoke", ["root"], ["for_while"], [1]), ("train", "profile", "circuit"))
    rows = [row for row in read_records(out / "records.csv") if row.status == "failed"]
    write_table(out / "records.csv", rows, Record)
    with pytest.raises(ValueError, match=r"^root, seed 1, was not trained: ValueError: no luck; `bench run "):
        load_model(out, "root", seed=1, store=store)


def test_a_changed_artifact_is_refused(ran):
    file = open_run(*ran).inputs("closing", 1)["closing"] / "name.json"
    file.write_text(file.read_text().replace("closing", "Closing"))
    with pytest.raises(CorruptArtifactError, match=r"train closing seed 1. is corrupt: name\.json does not have"):
        load_model(ran[0], "closing", seed=1, store=ran[1])


def test_what_is_no_folder_of_a_run_is_named(ran, tmp_path):
    with pytest.raises(
        ValueError, match=r"^there is no folder '.*absent', so there is no run to open; `bench run --out"
    ):
        open_run(tmp_path / "absent")
    (ran[0] / RUN).unlink()
    with pytest.raises(ValueError, match=rf"^folder '.*results' has no {RUN}, so there is no run to open; `bench run"):
        load_model(ran[0], "closing")
    for given, shown in ((3, "3"), ("", "''"), (" ", "' '"), (None, "None")):
        with pytest.raises(ValueError, match=f"^folder must be the path of a folder, got {shown}$"):
            inspect.unwrap(open_run)(given)


def test_the_settings_of_a_run_are_those_of_its_file(ran):
    opened = open_run(*ran)
    expected = configure("smoke", ["closing"])
    assert (opened.circuit, opened.profile, opened.validity) == (expected.circuit, expected.profile, expected.validity)
    assert "preset smoke, closing, seeds [1, 2]" in repr(opened)


def test_a_leaderboard_has_every_column_as_numbers_and_is_shown_with_escaped_text(ran):
    board = load_leaderboard(ran[0])
    frame = board.to_frame()
    assert list(frame.columns)[:5] == ["preset", "method", "variant", "graph", "rank"]
    assert frame["validation_loss"].tolist() == [7.0] * len(board)
    assert frame["seeds"].tolist() == [2] * len(board)
    assert repr(board).startswith(f"Leaderboard({len(board)} rows")
    rows = [
        Record(preset="<b>", method="<script>", variant="&", graph="unit", task="for_while", seed=seed, metric="edges",
               value=10.0 * seed) for seed in (1, 2, 3)
    ]  # fmt: skip
    write_table(ran[0] / "records.csv", rows, Record)
    shown = load_leaderboard(ran[0])._repr_html_()
    assert "<td>&lt;b&gt;</td>" in shown
    assert "<td>&lt;script&gt;</td>" in shown
    assert "<script>" not in shown
    frame = load_leaderboard(ran[0]).to_frame()
    assert f"<td>18 [{frame['edges_low'][0]:.0f}, {frame['edges_high'][0]:.0f}]</td>" in shown
