import csv
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_method_of_another_distribution_is_found_by_entry_point_run_and_scored(tmp_path):
    installed = tmp_path / "site" / "outsider-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[sparse_circuit_bench.methods]\noutside_uniform = uniform_method:UNIFORM\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(installed.parent)])}
    command = [str(Path(sys.executable).with_name("bench")), "run", "--preset", "smoke", "--method", "outside_uniform"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "results" / "records.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "empty_loss"]
    assert {row["method"] for row in rows} == {"outside_uniform"}
    assert len(rows) == 3
