"""What happens in a run can be logged: whole lines of JSON, and nothing unless asked for."""

import json
import logging
from pathlib import Path

import pytest
from toy_cells import KIND, toy

from benchmark.running.cells import KINDS
from benchmark.running.event_log import LOGGER, LoggedDisplay, log, logged_to
from benchmark.running.execution import execute
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.store import Store


class Told:
    def __init__(self):
        self.names = []

    def __getattr__(self, name):
        return lambda *arguments: self.names.append(name)


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


def test_every_event_of_a_run_is_a_line_and_reaches_the_display_too(tmp_path):
    good, bad = toy(tmp_path, "good"), toy(tmp_path, "bad", behaviour="raise")
    dying = toy(tmp_path, "dying", at=1, steps=2, behaviour="die once")
    store, told = Store(tmp_path / "store"), Told()
    with logged_to(tmp_path / "logs" / "run.jsonl"):
        execute([good, bad, dying], store, LocalExecutor(store, 1), LoggedDisplay(told))
        log("run ended", computed=2, failed=1)
    rows = [json.loads(line) for line in (tmp_path / "logs" / "run.jsonl").read_text().splitlines()]
    assert [(row["event"], row.get("cell")) for row in rows] == [
        ("run begun", None),
        ("cell begun", "toy good"),
        ("cell computed", "toy good"),
        ("cell begun", "toy bad"),
        ("cell failed", "toy bad"),
        ("cell begun", "toy dying"),
        ("cell given back", "toy dying"),
        ("cell begun", "toy dying"),
        ("cell computed", "toy dying"),
        ("run ended", None),
    ]
    assert rows[4]["reason"] == "ValueError: this is wrong"
    assert rows[4]["level"] == "error"
    assert rows[6]["level"] == "warning"
    assert all(row["time"].endswith("+00:00") for row in rows)
    assert str(tmp_path) not in (tmp_path / "logs" / "run.jsonl").read_text()
    assert [name for name in told.names if name != "advanced"] == [
        "begin", "started", "finished", "started", "failed", "started", "given_back", "started", "finished"
    ]  # fmt: skip


def test_a_second_run_appends_and_nothing_is_logged_afterwards(tmp_path, capsys):
    for _ in range(2):
        with logged_to(tmp_path / "run.jsonl"):
            log("run begun")
    log("run ended")
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 2
    assert capsys.readouterr() == ("", "")
    assert [type(each) for each in LOGGER.handlers] == [logging.NullHandler]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
def test_a_log_that_cannot_be_written_to_disturbs_nothing(capsys):
    with logged_to(Path("/dev/full")):
        log("run begun")
    assert capsys.readouterr() == ("", "")


def test_a_program_that_listens_to_the_logger_hears_the_same(caplog):
    with caplog.at_level(logging.INFO, logger="sparse_circuit_bench"):
        log("run begun", missing=3)
    [record] = caplog.records
    assert (record.getMessage(), record.facts) == ("run begun", {"missing": 3})
