"""Curves in a cell's folder and in the table of a run."""

import pytest

from benchmark.curves import CurveRow, Point, read_curves, read_points, update_curves, write_points

POINT = Point("dilution", "lines", 2.0, "agreement", 0.75, 32)


def row(method: str, x: float, value: float = 0.5) -> CurveRow:
    return CurveRow(
        preset="quick", method=method, seed=0, curve="dilution", unit="lines", x=x, series="agreement", value=value, n=8
    )


def test_points_come_back_as_they_were_written(tmp_path):
    write_points([POINT], tmp_path)
    assert read_points(tmp_path) == [POINT]


def test_a_cell_without_curves_has_no_points(tmp_path):
    assert read_points(tmp_path) == []


def test_a_cell_that_is_computed_again_leaves_no_old_point_behind(tmp_path):
    path = tmp_path / "curves.csv"
    first = [row("dense", 0.0), row("dense", 2.0), row("sae", 0.0)]
    update_curves(path, first, first)
    update_curves(path, [row("dense", 9.0)], [row("dense", 4.0, 0.25)])
    assert read_curves(path) == [row("dense", 4.0, 0.25), row("sae", 0.0)]


def test_another_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "curves.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="lacks the columns"):
        read_curves(tmp_path / "curves.csv")
