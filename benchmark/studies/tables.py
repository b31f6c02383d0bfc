"""What search cells have measured, and tables of studies, to which searches of the same settings are added."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

from benchmark.disk import replace_file
from benchmark.files import CorruptFileError, read_text, readable
from benchmark.records.table import Measurement, csv_text, read_measurements
from benchmark.running.cells import Cell
from benchmark.running.store import Store


def measured(cell: Cell, store: Store) -> dict[str, Measurement]:
    """What a search cell has measured, by metric; by `metric:ablation` under an ablation not of the search."""
    return {
        row.metric if row.ablation in ("", cell.ablation) else f"{row.metric}:{row.ablation}": row
        for row in read_measurements(store.artifact(cell.key))
    }


def added(path: Path, rows: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """New rows together with those of an earlier file that they do not replace, sorted by the key.

    Args:
        path: The earlier file, if there is one.
        rows: The new rows.
        key: The columns that identify a row.

    Raises:
        CorruptFileError: The file is not a table, or is another one.
    """
    if path.exists():
        text = read_text(path, kind="table", encoding="utf-8-sig")
        with readable(path, "table"):
            earlier = pd.read_csv(StringIO(text))
        if missing := set(key) - set(earlier):
            raise CorruptFileError(path, f"lacks the columns {', '.join(sorted(missing))}")
        replaced = pd.MultiIndex.from_frame(earlier[list(key)]).isin(pd.MultiIndex.from_frame(rows[list(key)]))
        rows = pd.concat([rows, earlier[~replaced]], ignore_index=True)
    return rows.sort_values(list(key), ignore_index=True)


def write_frame(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, replacing an earlier one; what is not known is left empty."""
    values = table.astype(object).where(table.notna(), None)
    replace_file(path, csv_text(values.columns.to_list(), values.to_numpy().tolist()))
