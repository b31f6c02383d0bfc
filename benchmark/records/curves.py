"""Curves of a run: what a cell measured at several settings, stored in its folder and as rows of `curves.csv`."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from benchmark.files import read_rows
from benchmark.records.table import CellName, Keyed, read_table

CURVES = "curves.csv"
OF_CELL = "curves.json"
"""The file in the folder of a cell."""


@dataclass(frozen=True)
class CurvePoint:
    """One value of one curve.

    Attributes:
        curve: What is varied.
        unit: Unit of `x`.
        x: The varied quantity.
        series: What was measured there.
        value: The number.
        n: Number of clusters (pairs of prompts, windows) behind it.
    """

    curve: str
    unit: str
    x: int | float
    series: str
    value: float
    n: int


@dataclass(frozen=True, kw_only=True)
class CurveRow(Keyed):
    """One row of `curves.csv`: a `CurvePoint`, and the cell it belongs to. The columns up to `series` are its key.

    Attributes:
        preset: The preset of the run.
        method: Name of the method.
        variant: How its artifact is read.
        graph: `channel` or `unit`, for the curve of a circuit.
        task: Name of the task, for the curve of a circuit.
        seed: Training seed.
        ranking: As in `records.csv`.
    """

    KEY: ClassVar[int] = 11

    preset: str = ""
    method: str = ""
    variant: str = ""
    graph: str = ""
    task: str = ""
    seed: int | None = None
    ranking: str = ""
    curve: str
    unit: str
    x: int | float
    series: str
    value: float
    n: int

    @property
    def cell(self) -> CellName:
        """The cell that measured it: a circuit's if there is a task, otherwise that of the claims."""
        return self.named("circuit" if self.task else "claims")


def write_points(points: Iterable[CurvePoint], folder: Path) -> None:
    """Write points into a cell's folder."""
    content = [asdict(point) for point in points]
    (folder / OF_CELL).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_points(folder: Path) -> list[CurvePoint]:
    """The points in a cell's folder, none if the cell has no curve; `CorruptFileError` if the file is damaged."""
    path = folder / OF_CELL
    return read_rows(path, CurvePoint) if path.exists() else []


def read_curves(path: Path) -> list[CurveRow]:
    """The rows of a `curves.csv`, none if there is no file; `ValueError` in one line if the header does not match."""
    return read_table(path, CurveRow)
