"""The shell completes the names of methods, tasks, concepts and presets, quickly and without torch."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from benchmark.cli import main
from benchmark.concepts import CONCEPTS
from benchmark.methods import METHODS
from benchmark.running.config import preset_names
from benchmark.tasks import TASKS


def completions(*arguments):
    """What is offered for the last of some arguments."""
    *before, typed = arguments
    return [item.value for item in ShellComplete(main, {}, "bench", "_BENCH_COMPLETE").get_completions(before, typed)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("show", ""), list(METHODS)),
        (("show", "weight"), ["weight_sparse"]),
        (("show", "sae", "for"), ["for_while"]),
        (("show", "sae", "--concept", "in_str"), [name for name in CONCEPTS if name.startswith("in_str")]),
        (("compare", "dense", "trans"), ["transcoder", "transcoder_on_hooked"]),
        (("match", "dense", "--to", "activation"), ["activation_sparse"]),
        (("run", "--preset", ""), preset_names()),
        (("run", "--preset", "sm"), ["smoke"]),
        (("run", "--method", "a"), ["all", "activation_sparse"]),
        (("run", "--method", "dense,sae,x"), []),
        (("run", "--method", "dense,saved_sae,saved_s"), []),
        (("run", "--method", "dense,saved_"), [f"dense,{name}" for name in METHODS if name.startswith("saved_")]),
        (("run", "--method", "dense,saved_sae"), ["dense,saved_sae"]),
        (("run", "--method", "dense,"), [f"dense,{name}" for name in METHODS if name != "dense"]),
        (("run", "--tasks", "with_as,with"), ["with_as,with_open"]),
        (("plan", "--tasks", "nons"), ["nonsense"]),
        (("sweep", "al"), ["all"]),
        (("variance", "den"), ["dense"]),
        (("list", "pre"), ["presets"]),
        (("sh",), ["show"]),
        (("nothing", "sh"), ["show"]),
        (("show", "\x1b[31m"), []),
    ],
)
def test_names_are_completed_where_they_are_asked_for(arguments, expected):
    assert completions(*arguments) == expected


def test_a_name_is_completed_with_what_it_is():
    (item,) = ShellComplete(main, {}, "bench", "_BENCH_COMPLETE").get_completions(["run", "--tasks"], "for_wh")
    assert item.help == TASKS["for_while"].summary


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_given_its_script_and_names_without_torch(shell, tmp_path):
    program = (
        "import sys, atexit; atexit.register(lambda: sys.stderr.write(str('torch' in sys.modules)))\n"
        "from benchmark.__main__ import main; sys.argv = ['bench']; main()"
    )

    def run(**environment):
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True
        )
        assert done.stderr.endswith("False"), done.stderr
        return done.stdout

    if shell != "bash":  # whose version is asked of the shell itself
        assert "_BENCH_COMPLETE" in run(_BENCH_COMPLETE=f"{shell}_source")
    words = {"COMP_WORDS": "bench show weight", "COMP_CWORD": "weight" if shell == "fish" else "2"}
    assert "weight_sparse" in run(_BENCH_COMPLETE=f"{shell}_complete", **words)
