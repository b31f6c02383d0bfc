"""A cell's key changes with whatever changes its result, and with nothing else."""

import pytest
from toy_cells import KIND, toy

from benchmark.running.cells import KINDS, Cell, CellKind, digest


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


def test_keys_ignore_the_order_of_parameters():
    assert Cell("toy", {"a": 1, "b": {"c": 2, "d": 3}}).key == Cell("toy", {"b": {"d": 3, "c": 2}, "a": 1}).key


def test_a_key_is_64_hex_digits():
    key = toy("diary", "a").key
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


def test_another_parameter_role_need_or_outside_state_gives_another_key():
    one, other = toy("diary", "one"), toy("diary", "other")
    cells = [
        Cell("toy", {"a": 1}),
        Cell("toy", {"a": 2}),
        Cell("toy", {"a": 1.5}),
        Cell("toy", {"a": 1}, {"role": one}),
        Cell("toy", {"a": 1}, {"role": other}),
        Cell("toy", {"a": 1}, {"another role": one}),
        Cell("toy", {"a": 1}, outside={"stdlib": "3.11"}),
        Cell("toy", {"a": 1}, outside={"stdlib": "3.12"}),
    ]
    assert len({cell.key for cell in cells}) == len(cells)


def test_raising_the_version_of_a_kind_changes_its_keys_and_those_of_the_cells_that_need_them(monkeypatch):
    before = toy("diary", "b", needs=[toy("diary", "a")]).key
    monkeypatch.setitem(KINDS, "toy", CellKind(2, KIND.compute, KIND.shown))
    assert toy("diary", "b", needs=[toy("diary", "a")]).key != before


def test_the_function_that_computes_a_kind_is_no_part_of_the_key(monkeypatch):
    before = toy("diary", "a").key
    monkeypatch.setitem(KINDS, "toy", CellKind(1, "elsewhere:compute", ("number",)))
    assert toy("diary", "a").key == before


def test_the_hash_of_known_content_stays_what_it_was():
    assert digest({"b": [1, 2.5], "a": "é"}) == "1d5aa48ef9cd2b6be14efd77e6aa32fc7767713b66a7abf3c772a7863e7c199a"


def test_values_that_json_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})


def test_labels_name_what_people_look_for():
    params = {"method": "sae", "variant": "errors_ablated", "graph": "unit", "task": "for_while", "seed": 1, "x": 2}
    assert Cell("circuit", params).label == "circuit sae errors_ablated unit for_while seed 1"
    assert Cell("corpus", {"seed": 3}).label == "corpus"


def test_an_order_holds_the_keys_of_the_needed_cells():
    need = toy("diary", "a")
    order = toy("diary", "b", needs=[need]).order("r")
    assert order.needs == {"need 0": need.key}
    assert order.compute == "toy_cells:compute"
