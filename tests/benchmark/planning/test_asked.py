"""What is asked of a scheduler, and what a machine lacks."""

from collections import namedtuple

import pytest
from toy_methods import ROOT, installed

from benchmark.planning import machine
from benchmark.planning.asked import WORKER_BYTES, asked, disk_of, rows
from benchmark.planning.machine import free_bytes, shortages
from benchmark.planning.needs import Planned
from benchmark.planning.text import count, power, size
from benchmark.running.config import configure
from benchmark.running.plan import plan

GIB = 2**30


def hour(cell):
    return 3600.0


def cells_of(*methods):
    run = configure("smoke", methods, ["for_while"])
    return Planned(run), plan(run).cells


def test_every_kind_and_method_has_a_row_and_the_total_adds_up():
    planned, cells = cells_of("weight_sparse", "clt")
    found = rows(planned, cells, "cpu", hour)
    labels = [row.label for row in found]
    assert labels[0] == "corpus"
    assert labels[-1] == "total"
    assert {"train weight_sparse", "train clt", "train dense", "circuit clt", "validity weight_sparse"} < set(labels)
    whole = found[-1]
    assert whole.cells == len(cells) == sum(row.cells for row in found[:-1])
    assert whole.asked.hours == pytest.approx(len(cells))
    assert whole.needs.store_bytes == sum(row.needs.store_bytes for row in found[:-1])
    assert whole.needs.parameters == max(row.needs.parameters for row in found[:-1])


def test_a_cell_asks_for_one_core_and_its_memory_and_for_a_gpu_if_models_are_on_one():
    planned, cells = cells_of("weight_sparse")
    train = next(cell for cell in cells if cell.kind == "train" and cell.params["method"] == "weight_sparse")
    tensors = planned.needs(train).memory_bytes
    here, there = (asked(planned, train, device, hour) for device in ("cpu", "cuda"))
    assert (here.cores, here.gpus, here.gpu_bytes) == (1, 0, 0)
    assert here.memory_bytes > WORKER_BYTES + tensors
    assert (there.gpus, there.gpu_bytes) == (1, tensors)
    assert there.memory_bytes < WORKER_BYTES + tensors
    assert here.disk_bytes == planned.needs(train).store_bytes + 3 * 4 * planned.needs(train).parameters
    corpus = next(cell for cell in cells if cell.kind == "corpus")
    assert asked(planned, corpus, "cuda", hour).gpus == 0


def test_the_disk_holds_all_files_and_as_many_checkpoints_as_there_are_workers():
    planned, cells = cells_of("weight_sparse", "dense")
    files = sum(planned.needs(cell).store_bytes for cell in cells)
    one, two, many = (disk_of(planned, cells, workers) - files for workers in (1, 2, 100))
    assert 0 < one < two == many


def test_a_method_that_states_nothing_leaves_the_total_of_the_others():
    with installed(ROOT):
        found = rows(*cells_of("root"), "cpu", hour)
    by_label = {row.label: row for row in found}
    assert by_label["train root"].needs.parameters is None
    assert by_label["train root"].asked.memory_bytes is None
    assert by_label["total"].needs.store_bytes == sum(
        by_label[name].needs.store_bytes for name in ("corpus", "prompts")
    )


@pytest.mark.parametrize(
    ("memory", "workers", "told"),
    [
        ([3 * GIB, 5 * GIB], 1, []),
        ([3 * GIB, 4 * GIB], 2, []),
        ([3 * GIB, 6 * GIB], 2, ["needs up to 9.7 GB of memory, but this machine has 8.6 GB: --workers 1 fits"]),
        (
            [9 * GIB],
            1,
            ["needs up to 9.7 GB of memory, but this machine has 8.6 GB: choose a smaller preset or a larger"],
        ),
    ],
)
def test_a_machine_with_too_little_memory_is_told_so_in_one_line(memory, workers, told, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 8 * GIB)
    found = list(shortages(memory, 0, workers, tmp_path))
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


def test_a_disk_with_too_little_room_is_told_so_even_if_the_store_is_not_there_yet(monkeypatch, tmp_path):
    usage = namedtuple("usage", "free")
    asked_about = []
    monkeypatch.setattr(machine.psutil, "disk_usage", lambda path: asked_about.append(path) or usage(10**9))
    store = tmp_path / "not" / "there"
    assert list(shortages([1], 10**9, 1, store)) == []
    (line,) = shortages([1], 2 * 10**9, 1, store)
    assert "needs 2.0 GB of disk" in line
    assert "has 1.0 GB left" in line
    assert set(asked_about) == {str(tmp_path)}
    assert free_bytes(store) == 10**9


def test_sizes_and_counts_are_short():
    assert [count(number) for number in (0, 950, 1_000, 4_230_000, 117_000_000)] == ["0", "950", "1.0k", "4.2M", "117M"]
    assert [size(number) for number in (12, 999_600, 45 * 10**9)] == ["12 B", "1.0 MB", "45 GB"]
    assert [power(number) for number in (0, 124 * 10**16)] == ["0", "1.2e18"]
