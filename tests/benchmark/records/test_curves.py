"""Curves in a cell's folder and in the table of a run."""

import pytest

from benchmark.records.curves import CurvePoint, read_curves, read_points, write_points

POINT = CurvePoint("dilution", "lines", 2.0, "agreement", 0.75, 32)


def test_points_come_back_as_they_were_written(tmp_path):
    write_points([POINT], tmp_path)
    assert read_points(tmp_path) == [POINT]


def test_a_cell_without_curves_has_no_points(tmp_path):
    assert read_points(tmp_path) == []


def test_another_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "curves.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="lacks the columns"):
        read_curves(tmp_path / "curves.csv")
