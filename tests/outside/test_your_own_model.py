"""The page on models of one's own is followed to the letter."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from guides import DOCS, blocks

PAGE = "your-own-model.md"

READ_BY_PATH = "## A dictionary of your own"
"""The heading after which commands need files of the reader's own."""

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.slow


def commands():
    """The commands of the page that need no other files, in its order."""
    text, heading, _ = (DOCS / PAGE).read_text(encoding="utf-8").partition(READ_BY_PATH)
    assert heading
    return "".join(CONSOLE.findall(text)).splitlines()


def call(command, folder):
    """Call a command in a folder, with this interpreter and the `bench` beside it."""
    program, *arguments = shlex.split(command)
    programs = {"python": sys.executable, "bench": str(Path(sys.executable).with_name("bench"))}
    environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run([programs[program], *arguments], cwd=folder, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A folder in which all commands of the page have run, and what each has printed."""
    folder = tmp_path_factory.mktemp("own")
    for _, name, text in blocks(PAGE):
        (folder / name).write_text(text, encoding="utf-8")
    printed = {}
    for command in commands():
        done = call(command, folder)
        assert done.returncode == 0, (command, done.stderr[-3000:])
        printed[command] = done.stdout
    return folder, printed


def rows(folder, name):
    with (folder / "results" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_page_names_a_model_from_each_format():
    assert len(blocks(PAGE)) == 2
    assert [command.split()[:2] for command in commands()] == [
        ["python", "make_model.py"],
        ["bench", "run"],
        ["bench", "show"],
        ["python", "save_hooked.py"],
        ["bench", "run"],
        ["bench", "run"],
    ]


def test_the_model_has_a_circuit_in_both_graphs_and_labels(followed):
    folder, _ = followed
    found = rows(folder, "records.csv")
    assert {row["status"] for row in found if row["metric"] == "nodes"} == {"ok"}
    assert {row["graph"] for row in found if row["metric"] == "nodes"} == {"channel", "unit"}
    assert not [row["reason"] for row in found if row["status"] == "failed"]
    assert [row["concept"] for row in found if row["metric"] == "label_replacement_score"]


def test_the_model_is_listed_without_a_rank_and_with_the_reason(followed):
    folder, _ = followed
    board = rows(folder, "leaderboard.csv")
    listed = {(row["method"], row["rank"], row["status"]) for row in board}
    assert listed == {("hooked", "", "undefined"), ("sae_on_hooked", "", "undefined")}
    assert all(row["reason"].startswith("no reference task: none that weight_sparse and dense solve") for row in board)
    flops = {(row["method"], row["status"]) for row in rows(folder, "records.csv") if row["metric"] == "training_flops"}
    assert flops == {("hooked", "undefined"), ("sae_on_hooked", "ok")}


def test_the_circuit_is_shown_and_the_last_run_is_planned(followed):
    _, printed = followed
    shown = [text for command, text in printed.items() if command.startswith("bench show")]
    assert "task with_as" in shown[0]
    assert "missing  train hooked seed 0" in printed[commands()[-2]]


def test_dictionaries_that_were_fitted_to_the_model_are_scored_exported_and_read_again(followed):
    folder, _ = followed
    found = [row for row in rows(folder, "records.csv") if row["method"] == "sae_on_hooked"]
    assert {row["variant"] for row in found if row["metric"] == "nodes"} == {"errors_ablated", "errors_available"}
    assert {row["status"] for row in found if row["metric"] in ("fvu", "l0")} == {"ok"}
    exported = call("bench export sae_on_hooked --to sae-lens --out my-saes", folder)
    assert exported.returncode == 0, exported.stderr
    chosen = "--method hooked_sae --set hooked.model=my-model --set hooked_sae.path=my-saes --preset smoke"
    planned = call(f"bench run {chosen} --tasks with_as --out read-again --dry-run", folder)
    assert planned.returncode == 0, planned.stderr
    assert "needs up to" in planned.stdout


def test_a_task_that_the_tokenizer_breaks_and_a_missing_model_are_named_in_one_line(followed):
    folder, _ = followed
    chosen = "bench run --preset smoke --method hooked --set hooked.model="
    refused = call(f"{chosen}no/such/place --dry-run", folder)
    assert refused.returncode == 2
    assert refused.stderr.endswith("Error: hooked.model 'no/such/place': there is no such folder\n")
    other = call(f"{chosen}my-hooked-model --set hooked.tokenizer=my-model --dry-run", folder)
    assert other.returncode == 2
    assert "hooked.model is 'my-model' there and 'my-hooked-model' here" in other.stderr
    breaks = "cannot be posed: task 'for_while': the answer ':\\n' is 2 tokens (':', '\\n'), not one\n"
    assert breaks in call(f"{chosen}my-model --tasks for_while --out broken --dry-run", folder).stdout
    broken = call(f"{chosen}my-model --tasks for_while --out broken", folder)
    assert broken.stderr.startswith(breaks)
    assert broken.returncode == 1
    assert "the answer ':\\n' is 2 tokens (':', '\\n'), not one" in broken.stderr
    assert "nothing is trained, as every task of the run failed its check" in broken.stderr
