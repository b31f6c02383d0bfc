"""The store gives back exactly what was put in, or says that it cannot."""

import json
import shutil
import subprocess
import sys

import pytest
from toy_cells import KIND, toy

from benchmark.running.cells import KINDS
from benchmark.running.packing import pack
from benchmark.running.store import MANIFEST, CorruptArtifactError, Manifest, Store, StoreBusyError, verify


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
    store.partial(cell.order())
    for name, text in files.items():
        file = store.partial(cell.order()) / name.replace("__", "/")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return store.commit(cell.order(), 1.5, 1024)


def test_what_is_committed_is_found_with_all_its_files(store, cell):
    assert store.find(cell.key) is None
    put(store, cell, one="1", folder__two="2")
    found = store.find(cell.key)
    assert {file.name for file in found.iterdir()} == {"one", "folder", MANIFEST}
    assert (found / "folder" / "two").read_text() == "2"
    assert list((store.root / "partial").iterdir()) == []


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
    (store.partial(cell.order("a")) / "checkpoint").write_text("half")
    assert store.find(cell.key) is None
    assert store.state(cell.key) == "begun"
    assert (Store(store.root).partial(cell.order("a")) / "checkpoint").read_text() == "half"
    assert (Store(store.root).partial(cell.order("b")) / "checkpoint").read_text() == "half"
    assert len(list((store.root / "partial").iterdir())) == 1


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
    monkeypatch.setattr("benchmark.running.store.verify", lambda *place: computed.append(place) or verify(*place))
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


def signed(content):
    """A manifest whose checksum fits, whatever else is wrong with it."""
    return json.dumps({**content, "checksum": Manifest(**{**content, "checksum": ""}).digest()})


def test_a_manifest_from_before_versions_were_recorded_is_read(store, cell):
    put(store, cell, one="1")
    file = store.artifact(cell.key) / MANIFEST
    content = json.loads(file.read_text())
    del content["version"], content["outside"]
    file.write_text(signed(content))
    assert Store(store.root).manifest(cell.key).files.keys() == {"one"}
    assert Store(store.root).find(cell.key) is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "0" * 64}, "belongs to the artifact 000000000000"),
        ({"kind": "train"}, "does not describe the cell of this key"),
        ({"params": {"name": "b"}}, "does not describe the cell of this key"),
        ({"needs": {"need 0": "0" * 64}}, "does not describe the cell of this key"),
        ({"outside": {"plug-in": "1"}}, "does not describe the cell of this key"),
        ({"version": 2}, "does not describe the cell of this key"),
        ({"files": None}, "cannot be read"),
        ({"files": {"one": 1}}, "cannot be read"),
        ({"seconds": float("nan")}, "cannot be read"),
        ({"surplus": 1}, "cannot be read"),
    ],
)
def test_a_manifest_is_bound_to_its_folder_and_to_its_cell(store, cell, changes, said):
    put(store, cell, one="1")
    file = store.artifact(cell.key) / MANIFEST
    content = json.loads(file.read_text()) | changes
    try:
        file.write_text(signed(content))
    except (TypeError, ValueError):
        file.write_text(json.dumps(content))
    with pytest.raises(CorruptArtifactError, match=said):
        Store(store.root).find(cell.key)


def test_the_folder_of_another_artifact_is_not_taken_for_the_one_it_replaced(store, cell):
    other = toy("diary", "b")
    for each in (cell, other):
        put(store, each, one=each.params["name"])
    shutil.rmtree(store.root / "artifacts" / cell.key)
    shutil.copytree(store.root / "artifacts" / other.key, store.root / "artifacts" / cell.key)
    with pytest.raises(CorruptArtifactError, match=f"belongs to the artifact {other.key[:12]}"):
        Store(store.root).find(cell.key)


def test_a_link_out_of_an_artifact_is_not_followed(store, cell, tmp_path):
    put(store, cell, one="1")
    (tmp_path / "elsewhere").write_text("1")
    (store.artifact(cell.key) / "one").unlink()
    (store.root / "artifacts" / cell.key / "one").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptArtifactError, match="one does not have"):
        Store(store.root).find(cell.key)


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
    store.partial(cell.order())
    store.discard(cell.key)
    assert store.state(cell.key) == "missing"
    assert list((store.root / "removed").iterdir()) == []


def test_committing_again_replaces_the_artifact(store, cell):
    put(store, cell, one="1", two="2")
    put(store, cell, one="3")
    assert Store(store.root).find(cell.key) is not None
    assert not (store.artifact(cell.key) / "two").exists()


def test_a_store_is_not_cleaned_up_while_a_run_computes_with_it_and_the_run_is_named(store, cell):
    put(store, cell, one="1")
    imports = "from pathlib import Path; from benchmark.running.store import Store"
    program = f"{imports}\nStore(Path({str(store.root)!r})).discard_all([{cell.key!r}])"
    with store.used() as leases:
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"is in use by {leases.holder}" in second.stderr.splitlines()[-1]
    assert store.find(cell.key) is not None
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
    assert Store(store.root).find(cell.key) is None


def test_an_artifact_that_another_store_sends_is_taken_in_whole_or_not_at_all(store, cell, tmp_path):
    put(store, cell, a="1", b__c="2")
    files = pack(store.artifact(cell.key))
    there = Store(tmp_path / "there")
    there.adopt(cell.key, files)
    assert pack(there.artifact(cell.key)) == files
    for changed in ({**files, "a": b"2"}, {**files, "d": b""}, {"a": b"1"}):
        other = Store(tmp_path / "other")
        with pytest.raises(CorruptArtifactError):
            other.adopt(cell.key, changed)
        assert other.state(cell.key) == "missing"
        assert [path for path in other.root.rglob("*") if path.is_file()] == []


def test_a_run_that_was_taken_for_dead_does_not_commit_what_another_run_computes(store, cell):
    (store.partial(cell.order("first")) / "a").write_text("1")
    store.partial(cell.order("second"))  # takes over what the first one has done
    with pytest.raises(FileNotFoundError):
        store.commit(cell.order("first"), 1.5, 1024)
    assert store.state(cell.key) == "begun"
    store.commit(cell.order("second"), 1.5, 1024)
    assert store.state(cell.key) == "done"


def test_no_run_begins_while_a_store_is_cleaned_up(store):
    with store.held(), pytest.raises(StoreBusyError, match="is in use by process"), store.used():
        pass
    with store.used(), store.used():  # runs do not exclude each other
        pass
