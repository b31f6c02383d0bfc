"""Which tasks a given tokenizer breaks is known before anything is computed."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from toy_tokenizers import byte_level, saved

from benchmark.cli import main
from benchmark.running.circuit_inputs import drawn_prompts, in_forms
from benchmark.running.config import configure
from benchmark.running.posing import not_posed
from benchmark.tasks import TASKS

CHECKED = ("single_double_quote", "final_kwarg", "set_or_string", "with_as")
"""Tasks that this tokenizer breaks, and the last one, which it does not."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return saved(byte_level(500), tmp_path_factory.mktemp("tokenizer"))


def run_with(tokenizer, *tasks):
    return configure("smoke", ["dense"], tasks or CHECKED, changes=[f"corpus.tokenizer={tokenizer}"])


def test_the_tasks_that_are_named_are_those_whose_prompts_cannot_be_drawn(tokenizer):
    run, found = run_with(tokenizer), {}
    for name in CHECKED:
        try:
            drawn_prompts(in_forms(TASKS[name], run.circuit), byte_level(500), run.corpus.context, run.circuit, 0)
        except ValueError as error:
            found[name] = str(error)
    assert tuple(found) == CHECKED[:3]
    told = not_posed(run)
    assert list(told) == list(found)
    for name, reason in told.items():
        assert found[name].startswith(reason.partition(" (")[0])
        assert "trained on the corpus" not in reason


def test_all_answers_of_a_task_that_are_several_tokens_are_named(tokenizer):
    assert not_posed(run_with(tokenizer, "final_kwarg")) == {
        "final_kwarg": r"task 'final_kwarg': the answer '=None' is 2 tokens ('=', 'None'), not one, nor is '):\n' "
        r"('):', '\n')"
    }


def test_nothing_is_said_of_a_tokenizer_that_is_trained():
    assert not_posed(configure("smoke", ["dense"], ["all"])) == {}


@pytest.mark.parametrize("command", [["run", "--dry-run"], ["plan"], ["plan", "--json"]])
def test_a_dry_run_and_a_plan_name_the_tasks_and_their_answers(command, tokenizer):
    name = "final_kwarg"
    broken = not_posed(run_with(tokenizer, name))
    chosen = ["--preset", "smoke", "--method", "dense", "--tasks", name, "--set", f"corpus.tokenizer={tokenizer}"]
    done = CliRunner().invoke(main, [*command, *chosen])
    assert done.exit_code == 0, done.output
    if "--json" in command:
        assert json.loads(done.stdout)["not_posed"] == {name: broken[name]}
    else:
        assert f"annot be posed: {broken[name]}" in " ".join(done.stdout.split())


def test_it_is_known_without_torch(tokenizer):
    code = (
        "import sys; from benchmark.running.config import configure; from benchmark.running.posing import not_posed; "
        f"told = not_posed(configure('smoke', ['dense'], ['for_while'], changes=['corpus.tokenizer={tokenizer}'])); "
        "assert told and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
