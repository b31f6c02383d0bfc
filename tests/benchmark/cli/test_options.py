"""Every option of every command has a type and bounds; what is outside is one line before anything is computed."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from toy_bench import DIARY, toy_bench
from toy_methods import ROOT

from benchmark.cli import main
from benchmark.cli.errors import Name, names, seeds
from benchmark.cli.folders import FOLDER, claim

RUN = ("run", "--preset", "smoke", "--workers", "1")
OPTIONS = [(command, option) for command in main.commands.values() for option in command.params]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(DIARY, str(tmp_path / "diary.txt"))


def refusal(*arguments):
    with toy_bench(ROOT):
        done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 2, done.output
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 4100
    assert done.stderr.rstrip("\n").isprintable()
    return done.stderr


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=[f"{one.name} {two.name}" for one, two in OPTIONS])
def test_every_option_has_a_type_with_bounds(command, option):
    kind = option.type
    if isinstance(kind, click.IntRange | click.FloatRange):
        assert kind.min is not None
        assert kind.max is not None
    elif kind is click.STRING:
        assert option.callback in (names, seeds) or option.name == "changes"
    else:
        assert isinstance(kind, click.Choice | click.types.BoolParamType | Name) or kind is FOLDER


LONG, CONTROL = "a" * 5000, "de\x1b[31mnse\n"

REFUSED = [
    (["--out", ""], "no folder is given"),
    (["--store", ""], "no folder is given"),
    (["--store", "  "], "no folder is given"),
    (["--out", LONG], "is too long; a path has at most 3,500 bytes, and 255 in each of its names"),
    (["--out", "/".join(["a" * 200] * 20)], "is too long"),
    (["--out", "a\0b"], "has control characters"),
    (["--store", "a\nb"], "has control characters"),
    (["--method", "all,nope"], "unknown method 'nope'; choose from root"),
    (["--method", "root,root"], "root is given twice"),
    (["--method", CONTROL], r"'de\x1b[31mnse' is not a name"),
    (["--method", "a," * 20_000], "give at most 20,000"),
    (["--tasks", "all,poetry"], "unknown task 'poetry'"),
    (["--tasks", "for_while,for_while"], "for_while is given twice"),
    (["--seeds", "1,01"], "1 is given twice"),
    (["--seeds", "2147483648"], "is not a list of whole numbers from 0 to 2147483647"),
    (["--seeds", "9" * 5000], "is not a list of whole numbers from 0 to 2147483647"),
    (["--seeds", ",".join(map(str, range(1001)))], "1,001 seeds are too many; choose at most 1,000"),
    (["--seeds", ","], "no seed is given; choose some, such as 0,1,2"),
    (["--method", "root", "--method", "all"], "--method is given 2 times; give it once, with commas between"),
    (["--seeds", "0", "--seeds", "1", "--seeds=2"], "--seeds is given 3 times; give it once, with commas between"),
    (["--preset", LONG], "is not a name"),
    (["--preset", "a\0"], "is not a name"),
    (["--workers", "9" * 23], "is not in the range 1<=x<=1024"),
    (["--workers", "1e3"], "is not a valid integer range"),
    (["--device", "tpu"], "'tpu' is not one of 'cpu'"),
    (["--set", "root.density=" + "[" * 10_000], "root.density: its value is nested too deeply"),
    (["--set", "root.density=" + "9" * 30_000], "has 30,013 characters; choose at most 20,000"),
    (["--set", "circuit.target_loss=true"], "circuit.target_loss = True: input should be a valid number"),
    (["--set", "corpus.tokens=true"], "corpus.tokens = True: input should be a valid integer"),
    (["--set", 'corpus.tokens="1"'], "corpus.tokens = '1': input should be a valid integer"),
    (["--set", "circuit.coefficients=[-1]"], "circuit.coefficients.0 = -1"),
    (["--set", "validity.concepts=in_string"], "input should be a valid list; write a list, such as ["),
    (["--set", 'validity.concepts=["in_string","in_string"]'], "'in_string' is given twice; give each once"),
    (["--set", "corpus.sources=3"], "input should be a valid dictionary; write a table, such as {a = 1}"),
    (["--set", "circuit.forms.for_while.x=1"], "circuit.forms.for_while = {'x': 1}: input should be a valid list"),
    (["--set", "circuit.held_out='" + "a" * 300 + "'"], "at most 200 characters"),
    (["--set", 'corpus.sources={"path:a\\u0000b" = 1.0}'], "has control characters"),
    (["--set", 'corpus.sources={"package:../x" = 1.0}'], "does not name a distribution"),
    (["--set", f'corpus.sources={{"path:{LONG}" = 1.0}}'], "or more than 4096"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_is_outside_the_bounds_is_one_line_and_writes_nothing(arguments, said):
    assert said in refusal(*RUN, *arguments)
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "command", [["show", LONG], ["show", "root", LONG], ["compare", "a\0", "b"], ["match", CONTROL]]
)
def test_names_that_are_arguments_have_bounds_too(command):
    assert "is not a name, which has at most 200 characters and no control characters" in refusal(*command)


def test_a_folder_where_a_table_is_written_is_found_before_anything_is_computed(tmp_path):
    Path("results/leaderboard.csv").mkdir(parents=True)
    Path("results/run.json").touch()
    with pytest.raises(ValueError, match=r"^cannot write to folder 'results': leaderboard\.csv in it is not a file$"):
        claim(Path("results"), Path("store"))
    assert not Path("store").exists()
    refusal(*RUN)
    assert not (tmp_path / "diary.txt").exists()


def test_too_little_space_is_found_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=3 * 2**20))
    assert "cannot write to folder 'results': 3.0 MiB are free, and at least 16 MiB are needed" in refusal(*RUN)
    assert not list(Path().iterdir())
    assert not (tmp_path / "diary.txt").exists()


# Results folders from strangers


HOSTILE = {
    "a field of 10 MB": (b"a" * 10**7 + b",b\n", "not CSV: field larger than field limit"),
    "bytes that are not text": (b"\xff\xfe\x00", "it is not UTF-8 text"),
    "nothing but zeros": (bytes(1000), "it lacks the columns"),
    "one huge line": (b"a," * 10**5, "it lacks the columns"),
}


@pytest.mark.parametrize(("content", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_table_is_one_line(content, said):
    Path("results").mkdir()
    Path("results/records.csv").write_bytes(content)
    for command in (["show"], ["claims"], ["compare", "a", "b"], RUN):
        assert said in refusal(*command)


def test_a_table_that_would_drive_a_terminal_or_is_a_pipe_is_one_line():
    with toy_bench(ROOT):
        assert CliRunner().invoke(main, list(RUN)).exit_code == 0
    path = Path("results/records.csv")
    sound = path.read_text()
    path.write_text(sound.replace(",root,", ",ro\x1b[2Jot,", 1))
    assert "contains control characters" in refusal("show")
    path.write_text(sound.replace("smoke", "smo\0ke"))
    assert "contains control characters" in refusal("show")
    path.unlink()
    os.mkfifo(path)
    assert "is not a readable file" in refusal("show")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"preset": ' + b"[" * 100_000, "nested more than 50 levels"),
        (b"\xff\xfe", "is not a complete JSON file"),
        (b"[]", "was not written by a run"),
        (b'{"preset": 1}', "was not written by a run"),
        (b'{"preset": "a", "preset": "b"}', "is there twice"),
    ],
)
def test_a_hostile_run_json_is_one_line(content, said):
    with toy_bench(ROOT):
        assert CliRunner().invoke(main, list(RUN)).exit_code == 0
    Path("results/run.json").write_bytes(content)
    for command in (["show"], RUN):
        assert said in refusal(*command)
