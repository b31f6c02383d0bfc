"""Pictures of figures, and `bench plot`."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_results import circuits, row, tables

from benchmark.cli import main
from benchmark.records.table import RECORDS, Record, write_table
from benchmark.report.figures import figure
from benchmark.report.figures.data import Axis, Figure, Point, series_of
from benchmark.report.pictures import write_picture

RECORDS_OF_TWO = [
    *circuits("weight_sparse", {"for_while": 2, "with_as": 8}),
    *circuits("dense", {"for_while": 100, "with_as": 400}, loss=2.5),
]


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    write_table(Path("results", RECORDS), RECORDS_OF_TWO, Record)


def plot(*arguments):
    return CliRunner().invoke(main, ["plot", *arguments])


@pytest.mark.parametrize(("name", "suffix"), [("size_loss", "svg"), ("profile", "pdf"), ("task_sizes", "png")])
def test_the_same_tables_give_the_same_bytes(name, suffix, tmp_path):
    files = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for file in files:
        write_picture(figure(name, tables(RECORDS_OF_TWO)), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(files[0].read_bytes()) > 2000


def test_every_kind_of_point_and_axis_can_be_drawn(tmp_path):
    points = [Point(1.0, 2.0, "a", (0.5, 1.5), (1.0, None)), Point(30_000.0, 500.0)]
    made = Figure(
        "made",
        "Made up",
        "",
        Axis("a", "b", log=True),
        Axis("c", view=(0.0, 10.0)),
        (
            series_of("plain", points, method="dense", line=True),
            series_of("open", points, method="", line=True, emphasis="secondary"),
            series_of("ringed, illusions", points, method="nobody's", emphasis="highlight"),
        ),
    )
    write_picture(made, tmp_path / "made.svg")
    assert (tmp_path / "made.svg").read_text().startswith("<?xml")


def test_a_user_s_own_settings_of_matplotlib_change_nothing(tmp_path):
    import matplotlib

    made = figure("size_loss", tables(RECORDS_OF_TWO))
    write_picture(made, tmp_path / "one.svg")
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "mine"}):
        write_picture(made, tmp_path / "two.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_bench_plot_writes_the_picture_and_prints_its_caption(results):
    done = plot("size_loss", "--out", "pictures/sizes.png")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("pictures/sizes.png\nDown and to the left is better.")
    assert max(map(len, done.output.splitlines())) <= 80
    assert Path("pictures/sizes.png").read_bytes().startswith(b"\x89PNG")
    assert plot("profile").output.startswith("profile.svg\n")
    assert plot("profile", "--to", "old.svg").output.startswith("old.svg\n")  # what --out was called before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cat"], "unknown figure 'cat'; choose from size_loss, size_faithfulness, "),
        (["size_loss", "--out", "sizes.jpg"], "a picture ends in .svg, .pdf, .png, not as 'sizes.jpg'"),
        (["size_loss", "--out", "results"], "--results the folder of a run; 'results' is a folder"),
        (["size_loss", "--out", "a", "--to", "b.svg"], "--out is the file that is written, and --results the folder"),
        (["size_loss", "--results", "elsewhere"], "there is no run in folder 'elsewhere'"),
        (["size_loss", "--preset", "paper"], "no records of preset 'paper' in folder 'results'; choose --preset from"),
        (["sweep"], "`bench sweep all --out results` makes the table; figures with something to draw: size_loss, "),
    ],
)
def test_what_cannot_be_drawn_is_one_line_with_the_choices(arguments, said, results):
    done = plot(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in Path().iterdir()) == ["results"]


def test_a_folder_with_nothing_to_draw_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    write_table(Path("results", RECORDS), [row("validation_loss", 2.0, method="dense")], Record)
    done = plot("size_loss")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: size_loss: Nothing can be drawn: no circuit was searched for")
