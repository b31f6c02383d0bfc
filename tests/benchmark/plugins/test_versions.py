"""The source of what others wrote has a digest that changes with it; that of ours has none."""

import functools
import sys
import zipfile
from dataclasses import replace
from importlib import import_module, invalidate_caches

import pytest
from toy_methods import installed, registered, toy_method

from benchmark.concepts import CONCEPTS, Concept
from benchmark.methods import METHODS
from benchmark.plugins.versions import outside_sources, source_digest
from benchmark.running.config import configure
from benchmark.running.plan import plan
from benchmark.tasks import TASKS, Task
from benchmark.tasks.brackets import list_of


@pytest.fixture
def outsiders(tmp_path, monkeypatch):
    """A package with a module, and a module that stands alone, on the path of this process."""
    (tmp_path / "Outsider" / "deep").mkdir(parents=True)
    (tmp_path / "Outsider" / "__init__.py").write_text("")
    (tmp_path / "Outsider" / "deep" / "__init__.py").write_text("")
    (tmp_path / "Outsider" / "deep" / "method.py").write_text("def train():\n    return 1\n")
    (tmp_path / "Outsider" / "A.py").write_text("")
    (tmp_path / "lonely.py").write_text("def label(text):\n    return [0] * len(text)\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("Outsider", "lonely", "room")]:
        del sys.modules[name]


def test_what_is_ours_has_no_digest_however_it_is_named():
    for ours in ("sparse_model.method:WEIGHT_SPARSE", "benchmark", plan, functools.partial(plan, None), Task):
        assert source_digest(ours) is None
    assert outside_sources({"ours": "baselines.sae:train"}) == {}


def test_every_file_of_the_package_counts_and_nothing_is_imported(outsiders):
    before = source_digest("Outsider.deep.method:train")
    (outsiders / "Outsider" / "__pycache__").mkdir()
    (outsiders / "Outsider" / "notes.txt").write_text("unrelated")
    assert source_digest("Outsider.deep.method:train") == before
    (outsiders / "Outsider" / "A.py").write_text("x = 1\n")
    after = source_digest("Outsider.deep.method:train")
    assert after != before
    (outsiders / "Outsider" / "A.py").rename(outsiders / "Outsider" / "B.py")
    assert source_digest("Outsider.deep.method:train") not in (before, after)
    assert "Outsider" not in sys.modules


def test_a_module_outside_any_package_is_its_file(outsiders):
    before = source_digest("lonely:label")
    (outsiders / "neighbour.py").write_text("")
    assert source_digest("lonely:label") == before
    (outsiders / "lonely.py").write_text("def label(text):\n    return [1] * len(text)\n")
    assert source_digest("lonely:label") != before


def test_in_a_namespace_package_the_package_below_it_counts(outsiders):
    for name in ("one", "two"):
        (outsiders / "room" / name).mkdir(parents=True)
        (outsiders / "room" / name / "__init__.py").write_text("")
    before = source_digest("room.one:train")
    (outsiders / "room" / "two" / "__init__.py").write_text("x = 1\n")
    assert source_digest("room.one:train") == before
    (outsiders / "room" / "one" / "__init__.py").write_text("x = 1\n")
    assert source_digest("room.one:train") != before


def test_a_package_inside_an_archive_is_the_archive(tmp_path, monkeypatch):
    digests = []
    for number, text in enumerate(("x = 1\n", "x = 2\n")):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.writestr("zipped/__init__.py", text)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path / f"{number}.zip")
            digests.append(source_digest("zipped:train"))
    assert len(set(digests)) == 2


def test_a_function_has_the_digest_of_its_module(outsiders):
    function = import_module("lonely").label
    named = source_digest("lonely:label")
    bound = functools.partial(functools.partial(function), "text")
    wrapped = functools.wraps(function)(lambda text: function(text))
    assert {source_digest(each) for each in (function, bound, wrapped)} == {named}


def test_a_function_of_a_file_that_cannot_be_imported_by_name_is_that_file(tmp_path):
    def digest(text):
        (tmp_path / "script.py").write_text(text)
        content = {"__name__": "<run_path>"}
        exec(compile(text, str(tmp_path / "script.py"), "exec"), content)
        return source_digest(content["label"])

    assert digest("def label(text): return 1") != digest("def label(text): return 2")
    assert digest("def label(text): return 1") == digest("def label(text): return 1")


def test_what_was_typed_in_and_what_cannot_be_found_have_digests_too(tmp_path, monkeypatch):
    content = {"__name__": "nowhere"}
    exec("def label(text): return 1", content)
    assert source_digest(content["label"])
    absent = source_digest("nowhere:train")
    (tmp_path / "nowhere.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    assert source_digest("nowhere:train") not in (absent, None)


def keys_of(*names, task="for_while"):
    return {cell.label: cell.key for cell in plan(configure("smoke", names, [task])).cells}


def changed(before, after):
    assert before.keys() == after.keys()
    return {label for label in before if before[label] != after[label]}


@pytest.mark.parametrize("field", ["train", "load"])
def test_a_changed_line_of_an_outside_method_gives_its_cells_and_no_others_another_key(outsiders, field):
    outside = replace(toy_method("root"), **{field: "Outsider.deep.method:train"})
    fitted = toy_method("fitted", needs=("root",))
    with installed(outside, fitted, toy_method("sparse")):
        before = keys_of("all")
        (outsiders / "Outsider" / "deep" / "method.py").write_text("def train():\n    return 2\n")
        after = keys_of("all")
    assert changed(before, after) == {label for label in before if "root" in label or "fitted" in label}


def test_the_file_of_an_outside_record_counts_where_its_functions_are_ours():
    method = replace(toy_method("root"), train="benchmark.a:b", load="benchmark.a:c")
    with installed(method):
        assert METHODS.outside("root").keys() == {"method root"}
    assert METHODS.outside(*METHODS) == {}


def test_a_changed_line_of_an_outside_task_gives_its_circuits_another_key(outsiders):
    with installed(toy_method("root")), registered(TASKS, Task("lonely", "", "lonely:label", ("a", "b"))):
        before, others = keys_of("root", task="lonely"), keys_of("root")
        (outsiders / "lonely.py").write_text("def label(random, split):\n    return 2\n")
        assert changed(before, keys_of("root", task="lonely")) == {
            "prompts lonely seed 0",
            "circuit root native channel lonely seed 0",
            "circuit root native unit lonely seed 0",
        }
        assert keys_of("root") == others


def test_a_new_or_changed_outside_concept_is_checked_on_a_store_that_has_all_others(outsiders):
    with installed(toy_method("root")):
        without = keys_of("root")
        with registered(CONCEPTS, Concept("lonely", "", "lonely:label", "tests")):
            before = keys_of("root")
            (outsiders / "lonely.py").write_text("def label(text):\n    return [1] * len(text)\n")
            after = keys_of("root")
    labelled = {"validity root native seed 0", "circuit root native unit for_while seed 0"}
    assert changed(without, before) == changed(before, after) == labelled


def test_keys_of_ours_hold_no_source():
    for cell in plan(configure("smoke")).cells:
        assert cell.kind == "corpus" or not cell.outside
    assert source_digest(list_of) is None


def test_ours_come_first_then_other_peoples_what_needs_another_later_and_nulls_last():
    names = list(METHODS)
    with installed(toy_method("b", role="control"), toy_method("c", needs=("d",)), toy_method("d"), *METHODS.values()):
        assert list(METHODS) == [*names, "d", "c", "b"]
    assert names[-2:] == ["random_dictionary", "random_dictionary_on_hooked"]
    assert names.index("dense") < names.index("sae") < names.index("random_weights")
