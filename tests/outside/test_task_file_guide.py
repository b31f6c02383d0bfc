"""The guides to tasks and concepts from files, followed as they stand there."""

import csv
import json
import re
import subprocess
import sys

import pytest
from guides import DOCS, blocks

from benchmark.concepts.labelled import read_concepts
from benchmark.running.config import configure
from benchmark.tasks.reading import read_tasks


@pytest.fixture
def followed(tmp_path):
    """A folder in which the guide's script has been run."""
    (script,) = [text for language, _, text in blocks("tasks-from-a-file.md") if language == "python"]
    (tmp_path / "make_task.py").write_text(script)
    subprocess.run([sys.executable, "make_task.py"], cwd=tmp_path, check=True)
    return tmp_path


def shown(page, language):
    """The lines of the only block of a language in a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return block.splitlines()


def test_the_script_of_the_guide_writes_a_task_that_a_run_takes(followed):
    (listed,) = read_tasks(followed / "closing.jsonl")
    assert (listed.name, len(listed.pairs)) == ("closing", 210)
    configure("smoke", ["dense"], [f"file:{followed / 'closing.jsonl'}"])


def test_the_lines_that_the_guide_shows_are_lines_of_the_task(followed):
    written = [json.loads(line) for line in (followed / "closing.jsonl").read_text().splitlines()]
    assert all(json.loads(line) in written for line in shown("tasks-from-a-file.md", "json"))


def test_the_labelled_lines_that_the_guide_shows_are_read(tmp_path):
    (tmp_path / "sarcastic.jsonl").write_text("\n".join(shown("add-a-concept.md", "json")))
    found = read_concepts(tmp_path / "sarcastic.jsonl")
    first = found.texts[0]
    assert first.text[: sum(first.labels("sarcastic"))] == "Great, it rains again."


@pytest.mark.slow
def test_the_commands_of_the_guide_find_a_circuit_and_show_it(followed):
    said = ""
    for command in shown("tasks-from-a-file.md", "console")[1:]:
        program = [sys.executable, "-m", "benchmark", *command.split()[1:]]
        done = subprocess.run(program, cwd=followed, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    assert "closing" in said
    with (followed / "results/records.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == "closing"]
    assert {row["graph"] for row in rows} == {"channel", "unit"}
    assert "failed" not in {row["status"] for row in rows}
