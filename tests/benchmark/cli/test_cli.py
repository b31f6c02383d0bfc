"""What a user types, what is answered, and with which exit code."""

import base64
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_bench import DIARY, RAISING, toy_bench
from toy_methods import FITTED, ROOT, SPARSE

from benchmark.cli import main, ownership
from benchmark.cli.completion import REGISTRIES
from benchmark.cli.list import paragraphs
from benchmark.cli.ownership import check_ownership
from benchmark.running import experiment
from benchmark.running.experiment import recorded_kernels
from benchmark.running.kernels import KERNELS

RUN = ("run", "--preset", "smoke", "--tasks", "for_while", "--workers", "2")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIARY, str(tmp_path / "diary.txt"))


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


def rows(file="results/records.csv"):
    with Path(file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def computed():
    return Path("diary.txt").read_text().splitlines() if Path("diary.txt").exists() else []


# What users hold on to


def test_the_commands_and_their_options_stay_what_they_were():
    options = {
        name: sorted(option for parameter in command.params for option in parameter.opts)
        for name, command in main.commands.items()
    }
    assert options == {
        "run": ["--cell-limit", "--device", "--dry-run", "--executor", "--fresh", "--log", "--method",
                "--no-page", "--out", "--preset", "--seeds", "--set", "--store", "--tasks", "--workers"],
        "plan": ["--device", "--json", "--method", "--preset", "--seeds", "--set", "--tasks"],
        "list": ["--json", "what"],
        "match": ["--preset", "--set", "--store", "--to", "--tolerance", "--trials", "method"],
        "claims": ["--json", "--out", "--preset", "--results"],
        "compare": ["--json", "--out", "--preset", "--results", "first", "second"],
        "plot": ["--out", "--preset", "--results", "--to", "name"],
        "report": ["--out", "--preset", "--results", "--store", "--to"],
        "show": ["--concept", "--edges", "--json", "--names", "--out", "--results", "--store", "method", "task"],
        "export": ["--force", "--graph", "--out", "--results", "--seed", "--store", "--to", "--variant", "method",
                   "task"],
        "sweep": ["--cell-limit", "--device", "--dry-run", "--executor", "--log", "--out", "--preset", "--seeds",
                  "--set", "--store", "--tasks", "--workers", "families"],
        "variance": ["--cell-limit", "--device", "--dry-run", "--executor", "--finder-seeds", "--log", "--out",
                     "--preset", "--seeds", "--set", "--store", "--tasks", "--workers", "methods"],
        "forms": ["--cell-limit", "--device", "--dry-run", "--executor", "--log", "--out", "--preset", "--seeds",
                  "--set", "--store", "--tasks", "--workers"],
        "regret": ["--algorithms", "--cell-limit", "--device", "--dry-run", "--executor", "--finder-seeds", "--log",
                   "--longest", "--out", "--preset", "--seeds", "--set", "--store", "--tasks", "--workers", "methods"],
        "leave-one-out": ["--cell-limit", "--device", "--dry-run", "--executor", "--log", "--out", "--preset",
                          "--seeds", "--set", "--store", "--tasks", "--workers", "methods"],
        "audit": ["--draws", "--json", "--out", "--searches"],
        "speed": ["--json", "--rounds"],
        "growth": ["--json", "--rounds"],
        "store": [],
        "records": [],
    }  # fmt: skip


def test_the_defaults_are_the_main_job():
    defaults = {parameter.name: parameter.default for parameter in main.commands["run"].params}
    assert defaults["methods"] == "all"
    assert defaults["preset"] == "quick"
    assert (defaults["out"], defaults["store"], defaults["executor"]) == ("results", "store", "local")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["list", "methods"],
        ["list", "tasks"],
        ["list", "concepts"],
        ["list", "metrics"],
        ["list", "presets"],
    ],
)
def test_answers_that_need_no_computation_import_neither_torch_nor_numpy(arguments):
    heavy = {"torch", "transformer_lens", "sae_lens", "pandas", "numba", "numpy"}
    program = (
        "import sys; from benchmark.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: assert not end.code\n"
        f"assert not {heavy!r} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# A run


def test_a_run_writes_its_tables_and_prints_the_leaderboard():
    with toy_bench(workers=True):
        done = call(*RUN)
    assert done.exit_code == 0, done.output
    assert "23 cells" in done.stderr
    assert "sparse" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert {row["method"] for row in rows()} == {"root", "sparse", "fitted"}
    edges = next(row for row in rows() if (row["method"], row["graph"], row["metric"]) == ("root", "unit", "edges"))
    assert (edges["preset"], edges["task"], edges["seed"], edges["variant"]) == ("smoke", "for_while", "0", "native")
    assert (float(edges["value"]), edges["interval"], edges["status"]) == (46.0, "prompts", "ok")
    assert (edges["ranking"], edges["ablation"], edges["target_loss"]) == ("mask", "mean", "0.15")
    assert {row["kind"] for row in rows("results/costs.csv")} == {
        "corpus",
        "prompts",
        "train",
        "profile",
        "validity",
        "claims",
        "circuit",
    }


def test_a_run_measures_kernels_once_and_a_later_run_uses_those_that_run_json_records(monkeypatch):
    run = (*RUN, "--workers", "1")
    with toy_bench(ROOT, workers=True):
        monkeypatch.setattr(experiment, "recorded_kernels", recorded_kernels)  # toys have none otherwise
        assert call(*run, "--dry-run").exit_code == 0
        assert not Path("store").exists()
        assert call(*run).exit_code == 0
        kept, recorded = Path("store", KERNELS), Path("results/run.json")
        [measured] = json.loads(kept.read_text())
        assert json.loads(recorded.read_text())["kernels"] == measured["chosen"]
        kept.unlink()
        before = recorded.read_bytes()
        assert call(*run).exit_code == 0  # finds everything
        assert not kept.exists()
        assert call(*run, "--fresh").exit_code == 0
        assert not kept.exists()  # nothing was measured
        assert recorded.read_bytes() == before
        recorded.write_text(before.decode().replace(measured["chosen"]["linear"], "abacus"))
        again = call(*run, "--fresh")
    assert again.exit_code == 0
    assert "the tables were computed with linear=abacus, which this build of torch does not have" in again.stderr
    assert kept.exists()
    assert json.loads(recorded.read_text())["kernels"].keys() == {"linear"}
    assert "abacus" not in recorded.read_text()


def test_statuses_stand_where_a_number_cannot():
    with toy_bench(ROOT):
        call(*RUN)
    found = {row["metric"]: row for row in rows() if row["graph"] == "unit"}
    assert (found["faithfulness"]["value"], found["faithfulness"]["status"]) == ("", "not_reached")
    assert (found["cpr"]["value"], found["cpr"]["status"]) == ("", "undefined")
    assert found["cpr"]["reason"] == "empty equals whole"


def test_the_same_command_again_computes_nothing_and_writes_the_same_records():
    with toy_bench():
        call(*RUN)
        before, count = Path("results/records.csv").read_bytes(), len(computed())
        board = Path("results/leaderboard.csv").read_bytes()
        done = call(*RUN)
    assert done.exit_code == 0
    assert len(computed()) == count == 23
    assert Path("results/records.csv").read_bytes() == before
    assert Path("results/leaderboard.csv").read_bytes() == board


def test_one_and_two_workers_write_the_same_bytes():
    with toy_bench(workers=True):
        call(*RUN, "--store", "one", "--out", "first", "--workers", "1")
        call(*RUN, "--store", "two", "--out", "second", "--workers", "2")
    for file in ("records.csv", "leaderboard.csv"):
        assert Path("first", file).read_bytes() == Path("second", file).read_bytes()


def test_fresh_computes_everything_of_the_run_anew():
    with toy_bench(ROOT):
        call(*RUN)
        once = len(computed())
        call(*RUN, "--fresh")
    assert len(computed()) == 2 * once


def test_a_method_that_is_needed_is_trained_and_it_is_said():
    with toy_bench(ROOT, SPARSE, FITTED):
        done = call(*RUN, "--method", "fitted")
    assert "also needs root: fitted is fitted on it or explains its model" in done.stderr
    assert {row["method"] for row in rows()} == {"fitted"}


def test_rows_of_other_runs_stay():
    with toy_bench(ROOT, SPARSE):
        call(*RUN, "--method", "root")
        call(*RUN, "--method", "sparse")
    assert {row["method"] for row in rows()} == {"root", "sparse"}


def test_a_dry_run_lists_the_cells_and_what_is_done_and_writes_nothing():
    with toy_bench(ROOT):
        done = call(*RUN, "--dry-run")
        assert done.exit_code == 0
        assert not list(Path().iterdir())
        assert done.stdout.splitlines()[:2] == ["missing  corpus", "missing  train root seed 0"]
        assert "8 cells, 0 done; the rest takes about" in done.stdout.splitlines()[-1]
        call(*RUN)
        again = call(*RUN, "--dry-run")
        fresh = call(*RUN, "--dry-run", "--fresh")
    assert again.stdout.splitlines()[0] == "done     corpus"
    assert "8 cells, 8 done; the rest takes about 0.0 s with 2 workers" in again.stdout
    assert "8 cells, 0 done" in fresh.stdout


# What goes wrong


def test_a_method_that_raises_fails_with_its_reason_in_the_records_and_the_rest_go_on():
    with toy_bench(RAISING, ROOT):
        done = call(*RUN)
    assert done.exit_code == 1
    failed = [row for row in rows() if row["status"] == "failed"]
    assert {row["method"] for row in failed} == {"raising"}
    assert {row["reason"] for row in failed} == {"needs train raising seed 0, which failed: RuntimeError: no luck"}
    assert {"edges", "faithfulness"} <= {row["metric"] for row in failed}
    assert any(row["method"] == "root" and row["status"] == "ok" for row in rows())
    assert "FAILED train raising seed 0: RuntimeError: no luck" in done.stderr
    assert "6 of 14 cells failed" in done.stderr


def test_a_corrupt_artifact_is_said_and_computed_again():
    with toy_bench(ROOT):
        call(*RUN)
        before = Path("results/records.csv").read_bytes()
        for file in Path("store/artifacts").glob("*/records.json"):
            if file.stat().st_size > 200:
                file.write_text("[]")
                break
        done = call(*RUN)
    assert done.exit_code == 0
    assert "records.json does not have the checksum that was written; set aside in store/corrupt/" in done.stderr
    assert Path("results/records.csv").read_bytes() == before


def test_cells_that_other_code_computed_are_used_with_one_line_that_says_which(monkeypatch):
    with toy_bench(ROOT):
        call(*RUN)
        before = rows()
        monkeypatch.setattr("benchmark.running.store.code_version", lambda: "9.9+new")
        again, dry, fresh = call(*RUN), call(*RUN, "--dry-run"), call(*RUN, "--dry-run", "--fresh")
        sweep = call("variance", "root", "--preset", "smoke", "--tasks", "for_while", "--dry-run")
    for text in (again.stderr, dry.stdout):
        (line,) = [line for line in text.splitlines() if "another version of the code" in line]
        assert "8 cells by 0.1.0+" in line
        assert "this is 9.9+new; `bench run --fresh`" in line
    assert "another version" not in fresh.stdout
    assert "another version of the code: 6 cells" in sweep.stdout
    assert rows() == before


REFUSED = [
    (["run", "--method", "bert"], "unknown method 'bert'; choose from root, sparse, fitted"),
    (["run", "--method", ","], "no name is given"),
    (["run", "--tasks", "poetry"], "unknown task 'poetry'; choose from single_double_quote"),
    (["run", "--preset", "huge"], "unknown preset 'huge'; choose from smoke, quick, standard"),
    (["run", "--seeds", "a"], "'a' is not a list of whole numbers from 0 to 2147483647, such as 0,1,2"),
    (["run", "--seeds", "99999999999"], "'99999999999' is not a list of whole numbers from 0 to 2147483647"),
    (["run", "--workers", "9" * 30], "is not in the range 1<=x<=1024"),
    (["match", "dense", "--tolerance", "nan"], "'nan' is not a finite number"),
    (["run", "--seeds", "0,-1"], "'0,-1' is not a list of whole numbers from 0"),
    (["run", "--set", "nothing"], "is not of the form section.key=value"),
    (["run", "--set", "bert.density=1"], "section 'bert' is unknown; choose from"),
    (["run", "--set", "sparse.sparsity=1"], "unknown key 'sparsity'; choose from density, steps"),
    (["run", "--set", "sparse.density=0"], "sparse.density = 0: input should be greater than 0"),
    (["run", "--set", "sparse.steps=-3"], "sparse.steps = -3: input should be greater than or equal to 1"),
    (["run", "--set", 'corpus.sources={"path:nowhere" = 1.0}'], "nowhere: there is no such folder"),
    (["run", "--workers", "0"], "0 is not in the range 1<=x<=1024"),
    (["run", "--executor", "dask"], "'dask' is not one of 'local', 'ray', 'slurm'"),
    (["run", "--nonsense"], "No such option"),
    (["run", "--store", "file/store"], "cannot write to folder 'file/store'"),
    (["run", "--out", "file"], "cannot write to folder 'file'"),
    (["walk"], "unknown command 'walk'; choose from run, plan, list, match, forms, show"),
    (["list", "cats"], "'cats' is not one of 'methods', 'tasks'"),
    (["--nonsense"], "No such option"),
    (["show"], "there is no run in folder 'results': `bench run --out results` makes one"),
    (["show", "bert"], "unknown method 'bert'; choose from"),
    (["show", "root", "--edges", "3"], "--edges goes with a METHOD and a TASK"),
    (["show", "root", "for_while", "--edges", "many"], "'many' is not a valid integer range"),
    (["show", "root", "poetry"], "unknown task 'poetry'; choose from"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_bad_usage_is_one_line_and_writes_nothing(arguments, said):
    Path("file").touch()
    with toy_bench():
        done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_a_records_file_that_is_none_is_refused_before_anything_is_computed():
    Path("results").mkdir()
    Path("results/records.csv").write_text("this,is\nno,table\n")
    with toy_bench(ROOT):
        done = call(*RUN)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert not computed()


def test_a_corpus_folder_without_text_is_refused(tmp_path):
    Path("empty").mkdir()
    Path("empty/image.png").write_bytes(b"\x00\x01")
    with toy_bench(ROOT):
        done = call(*RUN, "--set", f'corpus.sources={{"path:{tmp_path}/empty" = 1.0}}')
    assert done.exit_code == 2
    assert "contains no text (skipped: image.png is binary)" in done.stderr
    assert not Path("store").exists()


# To which experiment a folder belongs


OTHER = (*RUN, "--set", "root.density=0.25")


@pytest.mark.parametrize(
    ("command", "differs"),
    [
        (OTHER, "root.density is 0.5 there and 0.25 here"),
        ((*OTHER, "--dry-run"), "root.density is 0.5 there and 0.25 here"),
        (("run", "--preset", "quick"), "preset is 'smoke' there and 'quick' here"),
        (("variance", "root", "--preset", "smoke", "--set", "circuit.target_loss=0.2"), "circuit.target_loss is 0.15"),
    ],
)
def test_other_settings_are_refused_before_anything_is_computed(command, differs):
    with toy_bench(ROOT):
        call(*RUN)
        before, count = tables(), len(computed())
        done = call(*command)
        assert (tables(), len(computed())) == (before, count)
        elsewhere = call(*OTHER, "--out", "elsewhere")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert differs in done.stderr
    assert "choose another --out" in done.stderr
    assert elsewhere.exit_code == 0, elsewhere.output


def tables():
    return {path.name: path.read_bytes() for path in Path("results").iterdir()}


def test_a_stopped_run_leaves_the_folder_to_any_other():
    Path("results").mkdir()
    Path("results/run.json").write_text("{}")
    with toy_bench(ROOT):
        assert call(*RUN).exit_code == 0


def test_variance_and_run_share_a_folder_in_any_order():
    with toy_bench(ROOT):
        assert call("variance", "root", "--preset", "smoke", "--tasks", "for_while", "--seeds", "0").exit_code == 0
        assert call(*RUN).exit_code == 0
        assert call("variance", "root", "--preset", "smoke", "--tasks", "for_while", "--seeds", "0").exit_code == 0
    covered = json.loads(Path("results/run.json").read_text())["tables"]
    assert covered.keys() == {"records.csv", "variance.csv"}


# Stopping


def test_ctrl_c_stops_with_130_and_the_same_command_goes_on():
    program = Path(str(sys.modules["toy_bench"].__file__))
    command = [sys.executable, str(program), *RUN, "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        for line in running.stderr:
            if "begin train slow" in line:
                break
        wait_for(lambda: any(Path("store/partial").glob("*/steps")))
        os.killpg(running.pid, signal.SIGINT)
        told = running.stderr.read()
        assert running.wait(10) == 130
    assert told.splitlines() == [
        "stopping once the running cells have saved their state; a second Ctrl-C stops at once",
        "train slow seed 0: stopped; it will be computed again",
        "stopped; the same command resumes from here",
    ]
    assert not Path("results/records.csv").exists()
    (steps,) = Path("store/partial").glob("*/steps")
    assert int(steps.read_text()) < 20
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "2 found in the store" in again.stderr
    assert len(computed()) == 1 + 1 + 2 + 1 + 2 * 3 + 2 * 2


def test_a_killed_run_leaves_no_workers_behind():
    program = Path(str(sys.modules["toy_bench"].__file__))
    command = [sys.executable, str(program), *RUN, "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        wait_for(lambda: any(Path("store/partial").glob("*/steps")))
        running.kill()
        running.wait(10)
    wait_for(lambda: not group_lives(running.pid))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# Listing and showing


@pytest.mark.parametrize("what", [*REGISTRIES, "presets", "figures"])
def test_lists_fit_a_narrow_terminal_and_lose_no_word(what):
    lines = call("list", what).stdout.splitlines()
    rows = json.loads(call("list", what, "--json").stdout)
    narrow = list(paragraphs(rows, 80))
    assert max(map(len, narrow)) <= 80
    told = " ".join(narrow).split()
    assert set(told) >= {word for row in rows for word in f"{row['name']} {row['summary']} {row['source']}".split()}
    assert len([line for line in narrow if not line.startswith(" ")]) == len(lines) == len(rows)


def test_lists_name_the_distribution_of_what_comes_from_elsewhere():
    rows = [{"name": "a", "origin": "theirs", "summary": "one", "source": "two", "unit": "nats"}]
    assert list(paragraphs(rows, 80)) == ["a", "    one", "    two", "    unit nats, from theirs"]


def test_lists_are_one_line_each_and_json_where_asked():
    with toy_bench():
        lines = call("list", "methods").stdout.splitlines()
        found = json.loads(call("list", "methods", "--json").stdout)
    assert [line.split()[0] for line in lines] == ["root", "sparse", "fitted"]
    assert found[2] == {"name": "fitted", "origin": "toys 1.0", "summary": "Toy fitted.", "source": "nobody"}
    assert json.loads(call("list", "metrics", "--json").stdout)[0].keys() >= {"unit", "range", "direction", "version"}
    assert call("list", "presets").stdout.startswith("smoke")
    assert len(call("list", "tasks").stdout.splitlines()) == 21


def test_show_prints_the_leaderboard_of_a_run():
    with toy_bench():
        ran = call(*RUN)
        shown = call("show")
        as_json = json.loads(call("show", "--json").stdout)
    assert shown.stdout == ran.stdout
    assert {row["method"] for row in as_json} == {"root", "sparse", "fitted"}


def test_the_leaderboard_that_is_shown_is_the_one_that_follows_from_the_records():
    with toy_bench():
        ran = call(*RUN)
        Path("results/leaderboard.csv").write_text("preset,method\nsmoke,made up\n")
        shown = call("show")
        Path("results/leaderboard.csv").unlink()
        without = call("show")
    assert shown.stdout == without.stdout == ran.stdout
    assert "leaderboard.csv does not follow from the records beside it; this leaderboard does" in shown.stderr
    assert not without.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "records.csv is not a records file: it lacks the columns preset"),
        (None, "there is no run in folder 'results': `bench run --out results` makes one"),
    ],
)
@pytest.mark.parametrize(
    "command", [["show"], ["show", "root", "for_while"], ["claims"], ["compare", "root", "sparse"]]
)
def test_without_records_nothing_is_shown(command, text, said):
    with toy_bench():
        call(*RUN)
        if text is None:
            Path("results/records.csv").unlink()
        else:
            Path("results/records.csv").write_text(text)
        done = call(*command)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not done.stdout


def test_where_there_is_no_run_the_reference_run_is_offered():
    Path("results/reference").mkdir(parents=True)
    with toy_bench():
        call(*RUN, "--out", "results/reference")
        done, there = call("show"), call("show", "--out", "results/reference")
    assert done.stderr.splitlines() == [
        "Error: there is no run in folder 'results': `bench run --out results` makes one; `--out results/reference` "
        "shows the run that comes with the code"
    ]
    assert there.exit_code == 0


def test_tables_of_an_older_version_are_shown_and_not_added_to():
    with toy_bench():
        ran = call(*RUN)
        Path("results/run.json").unlink()
        shown, again = call("show"), call(*RUN)
    assert shown.stdout == ran.stdout
    assert again.exit_code == 2
    assert "holds tables without a run.json" in again.stderr


def test_circuits_of_another_target_are_ranked_by_it():
    with toy_bench():
        ran = call(*RUN, "--set", "circuit.target_loss=0.1")
        shown = call("show")
        compared = call("compare", "root", "sparse")
    assert shown.stdout == ran.stdout
    assert compared.exit_code == 0, compared.output


# Whose packages these are


def test_the_packages_are_ours():
    check_ownership()


def test_a_package_that_another_distribution_has_hidden_is_told(monkeypatch, tmp_path):
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "__init__.py").touch()
    for name in [name for name in sys.modules if name.split(".")[0] == "baselines"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    with toy_bench():
        done = call(*RUN)
    assert done.exit_code == 2
    assert "package 'baselines' at" in done.stderr
    assert "does not belong to sparse-circuit-bench" in done.stderr
    assert not Path("store").exists()


def wheel_install(site, content, recorded):
    """A distribution that installed one package, whose file was perhaps changed later."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(recorded.encode()).digest()).rstrip(b"=").decode()
    info = site / "sparse_circuit_bench-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sparse-circuit-bench\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"toy_package/__init__.py,sha256={digest},{len(recorded)}\n")
    (site / "toy_package").mkdir()
    (site / "toy_package" / "__init__.py").write_text(content)
    return Distribution.at(info)


@pytest.mark.parametrize(("content", "ours"), [("x = 1\n", True), ("x = 2\n", False)], ids=["kept", "overwritten"])
def test_an_installed_package_is_ours_as_long_as_its_file_is(tmp_path, monkeypatch, content, ours):
    distribution = wheel_install(tmp_path, content, "x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ownership, "PACKAGES", ("toy_package",))
    monkeypatch.setattr(ownership, "distribution", lambda name: distribution)
    with nullcontext() if ours else pytest.raises(ValueError, match="does not belong to sparse-circuit-bench"):
        check_ownership()


# Tasks from a file


def write_task(path):
    lines = [
        {"prompts": [f'{form}"{word}', f"{form}'{word}"], "answers": ['")\n', "')\n"], "form": form}
        for form in ("print(", "load(", "give(")
        for word in map(str, range(16))
    ]
    Path(path).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.slow
def test_a_task_from_a_file_is_run_shown_and_added_to_like_any_other():
    write_task("quotes.jsonl")
    arguments = (*RUN[:3], "--workers", "1", "--tasks")
    with toy_bench(ROOT):
        done = call(*arguments, "file:quotes.jsonl,for_while")
        assert done.exit_code == 0, done.output
        assert {row["task"] for row in rows() if row["metric"] == "edges"} == {"quotes", "for_while"}
        assert json.loads(Path("results/run.json").read_text())["task_files"] == {"quotes": "quotes.jsonl"}
        before = Path("results/records.csv").read_bytes()
        rebuilt = call("records", "rebuild", *RUN[1:3], "--method", "root", "--tasks", "file:quotes.jsonl,for_while")
        assert (rebuilt.exit_code, Path("results/records.csv").read_bytes()) == (0, before), rebuilt.output
        assert "0 items" in call("store", "gc", "--days", "0").stdout
        Path("quotes.jsonl").rename("moved.jsonl")
        shown = call("show", "root", "quotes")
        assert "unknown task" not in shown.stderr
        assert "unknown task 'quote'; choose from" in call("show", "root", "quote").stderr
        again = call(*arguments, "file:quotes.jsonl")
        assert (again.exit_code, "quotes.jsonl does not exist" in again.stderr) == (2, True)
        content = Path("moved.jsonl").read_text()
        Path("quotes.jsonl").write_text(content.replace("give(", "take("))
        other = call(*arguments, "file:quotes.jsonl")
        assert other.exit_code == 2
        assert "the digest of the forms of quotes is" in other.stderr
        assert "there and" in other.stderr
        named = call(*arguments, "quotes")
        assert (named.exit_code, "unknown task 'quotes'" in named.stderr) == (2, True)
