"""The store gives back exactly what was put in, or says that it cannot."""

import json
import os
import subprocess
import sys

import pytest
from toy_cells import KIND, toy

from benchmark.running.cells import KINDS
from benchmark.running.store import MANIFEST, CorruptArtifactError, Store, verify


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


def test_a_process_computes_checksums_once_and_again_when_a_file_has_changed(store, cell, monkeypatch):
    put(store, cell, one="1")
    computed = []
    monkeypatch.setattr("benchmark.running.store.verify", lambda folder: computed.append(folder) or verify(folder))
    for _ in range(3):
        assert store.find(cell.key) is not None
    assert len(computed) == 1
    (store.artifact(cell.key) / "one").write_text("2")
    with pytest.raises(CorruptArtifactError):
        store.find(cell.key)


def test_there_is_no_way_to_an_artifact_that_does_not_verify_it(store, cell):
    put(store, cell, one="1")
    damaged = store.artifact(cell.key)
    (damaged / "one").write_text("2")
    for reading in (store.find, store.artifact):
        with pytest.raises(
            CorruptArtifactError, match=f"{cell.key} .toy a. is corrupt: one does not .* repeat the run"
        ):
            reading(cell.key)
    with pytest.raises(ValueError, match="has no artifact 0123"):
        store.artifact("0123")


@pytest.mark.parametrize(
    ("name", "value"), [("code_version", "9.9+x"), ("seconds", 2.5), ("needs", {"corpus": "0" * 64})]
)
def test_a_manifest_that_was_changed_is_corrupt(store, cell, name, value):
    put(store, cell)
    file = store.artifact(cell.key) / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    for reading in (store.manifest, store.artifact):
        with pytest.raises(CorruptArtifactError, match=r"manifest\.json does not have the checksum"):
            reading(cell.key)


def test_a_manifest_of_the_first_releases_has_no_checksum_and_is_read(store, cell):
    put(store, cell, one="1")
    file = store.artifact(cell.key) / MANIFEST
    content = json.loads(file.read_text())
    del content["checksum"]
    file.write_text(json.dumps(content))
    assert Store(store.root).manifest(cell.key).files.keys() == {"one"}
    assert Store(store.root).find(cell.key) is not None


@pytest.mark.parametrize(
    ("beginning", "said"), [("", "has 2 artifacts"), ("f0", "artifact f0 is not in store"), ("*", "is not in store")]
)
def test_the_beginning_of_a_key_names_one_artifact_or_none(store, cell, beginning, said):
    other = toy("diary", "b")
    for each in (cell, other):
        put(store, each, one="1")
        assert store.key_of(each.key[:12]) == each.key
    with pytest.raises(ValueError, match=said):
        store.key_of(beginning)


def test_artifacts_of_other_code_are_counted_by_version_and_told_once(store, monkeypatch):
    cells = [toy("diary", name) for name in "abc"]
    for cell, version in zip(cells, ("0.1+old", "0.1+old", "0.2+older"), strict=True):
        monkeypatch.setattr("benchmark.running.store.code_version", lambda version=version: version)
        put(store, cell, one="1")
    keys = [cell.key for cell in cells]
    assert "2 cells by 0.1+old; this is 0.2+older" in Store(store.root).other_code(keys)
    monkeypatch.setattr("benchmark.running.store.code_version", lambda: "0.3+new")
    told = store.other_code(keys)
    assert "another version of the code: 2 cells by 0.1+old, 1 cell by 0.2+older; this is 0.3+new" in told
    assert store.other_code(keys) == ""
    monkeypatch.setattr("benchmark.running.store.code_version", lambda: "0.1+old")
    assert Store(store.root).other_code(keys[:2]) == ""


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
    imports = "from pathlib import Path; from benchmark.running.store import Store"
    program = f"{imports}\nwith Store(Path({str(store.root)!r})).lock(): pass"
    with store.lock():
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "is in use by process" in second.stderr.splitlines()[-1]
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_a_lock_that_a_killed_run_left_does_not_hold(store):
    store.root.mkdir(parents=True)
    for name in ("lock", "holder"):
        (store.root / name).write_text("1\n")
    with store.lock():
        assert json.loads((store.root / "holder").read_text()) == os.getpid()
