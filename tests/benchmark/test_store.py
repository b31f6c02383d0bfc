"""The store gives back exactly what was put in, or says that it cannot."""

import json
import subprocess
import sys

import pytest
from toy_cells import KIND, toy

from benchmark.cells import KINDS
from benchmark.store import MANIFEST, CorruptArtifactError, Store


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def cell():
    return toy("diary", "a")


def put(store, cell, **files):
    for name, text in files.items():
        file = store.partial(cell.key) / name.replace("__", "/")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return store.commit(cell.order, 1.5, 1024)


def test_what_is_committed_is_found_with_all_its_files(store, cell):
    assert store.find(cell.key) is None
    put(store, cell, one="1", folder__two="2")
    found = store.find(cell.key)
    assert {file.name for file in found.iterdir()} == {"one", "folder", MANIFEST}
    assert (found / "folder" / "two").read_text() == "2"
    assert not (store.root / "partial" / cell.key).exists()


def test_the_manifest_tells_what_was_computed_from_what_by_which_code(store, cell):
    need = cell
    after = toy("diary", "b", needs=[need])
    put(store, after, one="1")
    manifest = store.manifest(after.key)
    assert manifest.params == after.params
    assert manifest.needs == {"need 0": need.key}
    assert manifest.files.keys() == {"one"}
    assert (manifest.seconds, manifest.peak_memory) == (1.5, 1024)
    assert manifest.code_version.startswith("0.")
    assert manifest.library_versions["torch"] != "absent"


def test_a_partial_folder_is_no_artifact_and_keeps_what_is_in_it(store, cell):
    (store.partial(cell.key) / "checkpoint").write_text("half")
    assert store.find(cell.key) is None
    assert store.state(cell.key) == "begun"
    assert (Store(store.root).partial(cell.key) / "checkpoint").read_text() == "half"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "one").write_text("2"), "one does not have the checksum"),
        (lambda folder: (folder / "one").unlink(), "one is missing"),
        (lambda folder: (folder / "more").write_text(""), "more does not have the checksum"),
        (lambda folder: (folder / MANIFEST).unlink(), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text('{"key": 1}'), "manifest.json cannot be read"),
    ],
    ids=["changed", "missing", "unknown", "no manifest", "broken manifest", "foreign manifest"],
)
def test_a_damaged_artifact_is_never_taken_for_a_sound_one(store, cell, damage, said):
    put(store, cell, one="1")
    damage(store.artifact(cell.key))
    assert Store(store.root).state(cell.key) == "corrupt"
    with pytest.raises(CorruptArtifactError, match=said):
        Store(store.root).find(cell.key)


def test_a_process_verifies_an_artifact_once(store, cell):
    put(store, cell, one="1")
    store.find(cell.key)
    (store.artifact(cell.key) / "one").write_text("2")
    assert store.find(cell.key) is not None


def test_discarding_forgets_finished_and_partial_artifacts(store, cell):
    put(store, cell, one="1")
    store.partial(cell.key)
    store.discard(cell.key)
    assert store.state(cell.key) == "missing"
    assert list((store.root / "removed").iterdir()) == []


def test_committing_again_replaces_the_artifact(store, cell):
    put(store, cell, one="1", two="2")
    put(store, cell, one="3")
    assert Store(store.root).find(cell.key) is not None
    assert not (store.artifact(cell.key) / "two").exists()


def test_a_second_run_on_the_same_store_is_refused_and_told_by_whom(store):
    imports = "from pathlib import Path; from benchmark.store import Store"
    program = f"{imports}\nwith Store(Path({str(store.root)!r})).lock(): pass"
    with store.lock():
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "is in use by process" in second.stderr.splitlines()[-1]
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_a_lock_that_a_killed_run_left_does_not_hold(store):
    store.root.mkdir(parents=True)
    (store.root / "lock").write_text("1\n")
    with store.lock():
        assert json.loads((store.root / "lock").read_text()) > 1
