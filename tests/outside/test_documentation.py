"""README.md and docs/ are true: every code block is followed by a test, and every page can be found."""

import json
import re
import runpy
import tomllib
from collections import Counter
from importlib.metadata import version

import click
import pytest
import yaml
from click.testing import CliRunner
from guides import DOCS, ROOT, code, commands, follow, pages, tokens

import benchmark
from benchmark import export, metrics
from benchmark.cli import errors, main
from benchmark.cli.list import registry_of
from benchmark.running.config import configure, preset_names

FOLLOWED_BY = {
    "README.md": "tests/contract/test_smoke_run.py",
    "docs/add-a-concept.md": "tests/outside/test_guides.py",
    "docs/add-a-method.md": "tests/outside/test_guides.py",
    "docs/add-a-metric.md": "tests/outside/test_guides.py",
    "docs/add-a-ranking.md": "tests/outside/test_guides.py",
    "docs/add-a-task.md": "tests/outside/test_guides.py",
    "docs/add-an-ablation.md": "tests/outside/test_guides.py",
    "docs/export.md": "tests/benchmark/export/test_export_command.py",
    "docs/notebook.md": "tests/contract/test_smoke_run.py",
    "docs/tasks-from-a-file.md": "tests/outside/test_task_file_guide.py",
    "docs/your-own-dictionary.md": "tests/baselines/test_exports.py",
    "docs/your-own-model.md": "tests/outside/test_your_own_model.py",
}
"""The tests that follow the Python of the pages that need more than the metrics; all other pages are followed here."""

NOT_RUN = {
    "docs/figures.md": "reads the tables of a run; tests of the figures read tables like them",
    "docs/released-models.md": "needs files of other people; test_released.py and test_atlas.py read files like them",
}
"""Pages whose Python is not run, and why."""

NOT_BENCH = {
    "git": "the address of the repository is the reader's",
    "cd": "a folder of the reader's",
    "eval": "a shell's start-up file; tests of the command's completion say what it completes",
    "export": "the environment of a Slurm job",
    "circuit-tracer": "another tool",
    ".venv/bin/bench": "the command by its path, which README.md has without it",
}
"""Programs in the commands of the pages that are not followed, and why; `make`, `pip` and `python` are checked."""

PLACEHOLDER = re.compile(r"[A-Z]+\b|/|\bmy-|csp_|\.jsonl")
"""What a reader has to put in, or to make first: commands with one are parsed, and no files of theirs are read."""

PYTHON = [page for page in pages() if any(block.language == "python" for block in code(page))]

COMMANDS = [(block, words) for page in pages() for block, words in commands(page)]
BENCH = [(block, words[1:]) for block, words in COMMANDS if words[0] == "bench" and "|" not in words]


@pytest.mark.parametrize("page", [page for page in PYTHON if page not in FOLLOWED_BY.keys() | NOT_RUN.keys()])
def test_the_python_of_a_page_gives_the_numbers_that_it_states(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    follow(page)


def test_pages_that_are_followed_elsewhere_or_not_at_all_have_python_and_a_test():
    assert not FOLLOWED_BY.keys() & NOT_RUN.keys()
    assert (FOLLOWED_BY.keys() | NOT_RUN.keys()) <= set(PYTHON)
    for page, test in FOLLOWED_BY.items():
        named = page.removeprefix("docs/")
        text = (ROOT / test).read_text(encoding="utf-8")
        assert named in text or (named.startswith("add-a") and "add-a*.md" in text), f"{test} does not name {page}"


@pytest.mark.parametrize("page", pages())
def test_every_block_has_a_language_that_is_checked(page):
    for block in code(page):
        assert block.language in {"python", "console", "toml", "json", "text"}, block
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "json":
            assert all(json.loads(line) for line in block.text.splitlines()), block


def test_programs_other_than_bench_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    seen = set()
    for block, words in COMMANDS:
        program = words[0]
        if program == "make":
            assert all(re.search(f"^{re.escape(target)}:", makefile, re.MULTILINE) for target in words[1:]), block
        elif program == "pip":
            assert {each for name in re.findall(r"\[(.*)\]", words[-1]) for each in name.split(",")} <= extras.keys()
        elif program == "python":
            assert words[1] in {other.name for other in code(block.page)} or (ROOT / words[1]).is_file(), block
        elif program != "bench":
            assert program in NOT_BENCH, f"{block} has the unknown program {program}"
            seen.add(program)
    assert seen == NOT_BENCH.keys(), "NOT_BENCH has a program that no page uses any more"


@pytest.fixture(scope="module")
def added():
    """The names that the guides add, by kind of record."""
    found = {}
    for page in pages():
        for block in code(page):
            if block.name == "pyproject.toml":
                points = tomllib.loads(block.text)["project"]["entry-points"]
                for group, names in points.items():
                    found.setdefault(group.rpartition(".")[2], set()).update(names)
    return found


def parsed(words, monkeypatch):
    """The parameters of a line, which is not executed."""
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(click.Command, "invoke", lambda self, context: seen.append(context.params))
        patch.setattr(errors, "check_executor", lambda name: None)
        patch.setattr("benchmark.model.devices.available", lambda device: device)
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return seen[-1] if seen else {}


def names_in(block, parameters):
    """The names in a parsed line, each with the kind of record that it is of."""
    alone = {"method": "methods", "first": "methods", "second": "methods", "task": "tasks", "concept": "concepts"}
    for parameter, value in parameters.items():
        if parameter in ("methods", "tasks"):
            yield from ((parameter, name) for name in value or ())
        elif parameter in alone and value is not None:
            yield alone[parameter], value.partition("/")[0]


@pytest.mark.parametrize(("block", "words"), BENCH, ids=[f"{block}: {' '.join(words)}" for block, words in BENCH])
def test_a_command_has_known_options_and_names(block, words, added, monkeypatch):
    parameters = parsed(words, monkeypatch)
    for kind, name in names_in(block, parameters):
        given = name in ("all", *added.get(kind, ())) or name.startswith("file:")
        in_a_file = any(name in other.text for other in code(block.page) if other.language == "json")
        labelled = f"{name}.jsonl" in (ROOT / block.page).read_text(encoding="utf-8")
        assert given or in_a_file or labelled or name in registry_of(kind), f"{block}: unknown {kind} {name}"
    if parameters.get("preset"):
        assert parameters["preset"] in preset_names()
    line = " ".join(words)
    ours = not PLACEHOLDER.search(line) and not set().union(*added.values()) & set(re.findall(r"\w+", line))
    if ours and {"methods", "changes"} <= parameters.keys():
        configure(*(parameters[name] for name in ("preset", "methods", "tasks", "seeds", "changes")))


QUICK = {
    tuple(words)
    for _, words in BENCH
    if words[0] == "list" or (words[0] == "run" and "--dry-run" in words and not PLACEHOLDER.search(" ".join(words)))
}
"""The commands that take a moment and need no run."""


@pytest.mark.parametrize("words", sorted(QUICK), ids=" ".join)
def test_a_quick_command_runs(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmark.cli.cells.check_ownership", lambda: None)  # the tests may run on another checkout
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())


def test_links_lead_to_pages_and_headings():
    broken = []
    for page in (*pages(), "CONTRIBUTING.md"):
        for target in links(page):
            if not re.match(r"[a-z]+:", target):
                path, _, heading = target.partition("#")
                file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
                if not file.exists() or (heading and heading not in headings(file)):
                    broken.append((page, target))
    assert not broken


def links(page):
    """The targets of the links and pictures of a page."""
    for token in tokens(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield target


def headings(file):
    """The anchors of a page's headings, as the site makes them."""
    seen = tokens(str(file.relative_to(ROOT)))
    titles = [seen[at + 1].content for at, token in enumerate(seen) if token.type == "heading_open"]
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


def test_the_site_has_every_page_once():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = Counter(leaves(site["nav"]))
    assert set(listed.values()) == {1}
    assert set(listed) == {page.removeprefix("docs/") for page in pages() if page.startswith("docs/")}


def leaves(nav):
    """The pages of a navigation."""
    for each in nav:
        for entry in each.values():
            yield from leaves(entry) if isinstance(entry, list) else [entry]


@pytest.mark.parametrize("package", [benchmark, metrics, export])
def test_every_public_function_and_class_is_in_the_reference(package):
    """That what the reference names is there is checked when the site is built."""
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    described = set(re.findall(rf"^::: {re.escape(package.__name__)}\.(\w+)$", text, re.MULTILINE))
    assert described == {name for name in package.__all__ if not name.isupper()}


def test_the_pictures_are_those_of_the_numbers_on_their_pages():
    drawn = runpy.run_path(str(DOCS / "pictures" / "draw.py"))["PICTURES"]
    assert {f"{picture.__name__}.svg" for picture in drawn} == {file.name for file in DOCS.glob("pictures/*.svg")}
    for picture in drawn:
        assert picture() == (DOCS / "pictures" / f"{picture.__name__}.svg").read_text(encoding="utf-8")


def test_the_figure_of_the_readme_is_drawn_from_the_reference_results(tmp_path):
    """`bench plot size_loss --results results/reference --out docs/pictures/reference/size_loss.svg` draws it again."""
    committed = DOCS / "pictures" / "reference" / "size_loss.svg"
    assert str(committed.relative_to(ROOT)) in (ROOT / "README.md").read_text(encoding="utf-8")
    if f"Matplotlib v{version('matplotlib')}," not in committed.read_text(encoding="utf-8"):
        pytest.skip("another version of matplotlib drew the committed figure")
    drawn = tmp_path / "size_loss.svg"
    asked = ["plot", "size_loss", "--results", str(ROOT / "results" / "reference"), "--out", str(drawn)]
    assert CliRunner().invoke(main, asked).exit_code == 0
    same = drawn.read_bytes() == committed.read_bytes()
    assert same
