import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from parsed_page import ParsedPage
from toy_bench import DIARY, RUN_MODULE, toy_bench
from toy_tables import HOSTILE, REASON, TASKS, write_toy_tables

from benchmark.cli import main
from benchmark.cli.report import page_line
from benchmark.records.table import RECORDS, Record, read_records, write_table
from benchmark.report.page import made_from
from benchmark.report.page.page import PAGE, SECTIONS, page
from benchmark.report.page.provenance import section as provenance
from benchmark.report.page.source import page_run
from benchmark.report.page.templating import embedded, with_code
from benchmark.running.config import configure
from benchmark.running.experiment import RUN, Experiment

LARGEST = 8_000_000
"""Most bytes of a page."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy_tables(tmp_path_factory.mktemp("somewhere") / "results")


@pytest.fixture(scope="module")
def text(folder):
    return page(page_run(folder, None))


@pytest.fixture(scope="module")
def parsed(text):
    return ParsedPage(text).root


def table_named(root, caption):
    return next(table for table in root.all("table") if table.all("caption")[0].text.startswith(caption))


def cells(table):
    """The texts of a table by the heading of the row, and of the column."""
    heading = [each.text for each in table.all("thead")[0].all("th")]
    rows = [
        [cell.text.strip() for cell in row.inside if cell.tag in ("th", "td")]
        for row in table.all("tbody")[0].all("tr")
    ]
    return {row[0]: dict(zip(heading, row, strict=True)) for row in rows}


# What is shown


def test_the_headline_has_each_methods_size_with_its_interval_and_what_is_undecided(parsed):
    rows = cells(table_named(parsed, "Ranked"))
    assert set(rows) == {"weight_sparse", "dense", "saeerrors ablated"}
    lead = rows["weight_sparse"]
    assert lead["Rank"] == "1"
    assert lead["Seeds"] == "3"
    assert lead["Tasksreached"] == "4of 4, 4"
    sizes = 8 * 2**1.5 * (1.0 * 1.1 * 1.2) ** (1 / 3)  # geometric mean over tasks, then seeds
    assert lead["Edges neededverified; fewer is better"].startswith(f"{sizes:.3g}[")
    assert lead["Faithful1 is the model"] == "0.90[0.90, 0.90]"
    assert rows["dense"]["Size ratioto weight_sparse; over tasks"].startswith("10[")
    assert rows["dense"]["Size ratioto weight_sparse; over tasks"].endswith("] undecided")


def test_questions_of_a_reader_are_answered_on_the_first_screen(parsed):
    answers = {each.all("dt")[0].text: each.all("dd")[0].text for each in parsed.classed("answers")[0].all("div")}
    assert answers["Which method is best?"].startswith("weight_sparse ranks first of 3: area 0.7")
    assert answers["Is that certain?"].startswith("A difference in circuit size is certain in none of the ")
    assert answers["What does it rest on?"].startswith(
        "3 training seeds and 4 tasks, of which 4 per seed decide the rank"
    )


def test_every_claim_has_a_verdict_that_leads_to_its_numbers(parsed):
    lines = parsed.classed("claims")[0].all("li")
    articles = {each.attributes["id"]: each for each in parsed.all("article")}
    assert len(lines) == len(articles) > 5
    for line in lines:
        article = articles[line.all("a")[0].attributes["href"].removeprefix("#")]
        assert article.classed("verdict")[0].text == line.classed("verdict")[0].text
        assert article.all("table")
    first = cells(table_named(articles["claims-1"], "Numbers"))
    assert first["verified edges, dense / weight_sparse"]["Verdict"].startswith("undecided")  # no channel graph here


def test_what_is_missing_is_said_with_the_command_that_makes_it(parsed):
    missing = {each.attributes["aria-label"]: each.text for each in parsed.classed("missing") if each.tag == "aside"}
    assert "bench sweep all --out results" in missing["What is missing from Faithfulness"]
    assert "bench regret --out results" in missing["What is missing from Trust"]
    assert "bench audit --out results" in missing["What is missing from Trust"]
    assert "There is no run.json" in missing["What is missing from How it was made"]


def test_what_the_run_cannot_know_comes_from_its_records(parsed):
    told = parsed.classed("unknown")[0].text
    assert "There is no run.json" in told
    assert "No ratio of circuit sizes, however large, could be certain between weight_sparse and dense" in told
    assert "training seed" not in told  # there are three
    statuses = cells(table_named(parsed, "Values that are not a plain number"))
    [failed] = [row for name, row in statuses.items() if name.startswith("failed")]
    assert failed["Methods"] == HOSTILE


def test_a_run_of_one_seed_says_what_it_cannot_know(folder, tmp_path):
    lines = (folder / RECORDS).read_text().splitlines()
    seed = lines[0].split(",").index("seed")
    kept = [line for line in lines[1:] if line.split(",")[seed] == "0"]
    (tmp_path / RECORDS).write_text("\n".join([lines[0], *kept]) + "\n")
    root = ParsedPage(page(page_run(tmp_path, None))).root
    assert (
        "There is 1 training seed: what another training would change is not known" in root.classed("unknown")[0].text
    )
    assert cells(table_named(root, "Ranked"))["dense"]["Faithful1 is the model"] == "0.90"


def test_how_it_was_made_has_the_command_and_the_settings(folder, tmp_path):
    (tmp_path / RECORDS).write_text((folder / RECORDS).read_text())
    run = configure("smoke", ("dense", "sae"), TASKS[:2], (0, 2), ["circuit.target_loss=0.25"])
    (tmp_path / RUN).write_text(json.dumps(Experiment.of(run, RECORDS, {"linear": "mkl"}).model_dump(mode="json")))
    root = ParsedPage(f"<div>{provenance(page_run(tmp_path, None)).html}</div>").root
    assert root.classed("command")[0].text == (
        "bench run --preset smoke --method dense,sae --seeds 0,2 --tasks for_while,with_as "
        "--set circuit.target_loss=0.25"
    )
    settings = cells(table_named(root, "Settings of circuit"))
    assert settings["target_loss"]["Value"] == "0.25"
    assert "linear" in root.classed("digests")[0].text


# As HTML


def test_every_chart_has_a_table_with_all_of_its_points(parsed):
    charts = parsed.classed("chart")
    assert [each.attributes["id"] for each in charts][:2] == ["figure-size_loss", "figure-size_faithfulness"]
    for chart in charts:
        [data] = chart.all("script")
        points = sum(len(series["x"]) for series in json.loads(data.text)["series"])
        [table] = chart.all("table")
        assert len(table.all("tbody")[0].all("tr")) == points > 0
        assert chart.classed("plot")[0].attributes["role"] == "img"
        assert chart.classed("plot")[0].attributes["aria-label"]


def test_ids_are_unique_and_every_link_leads_somewhere(parsed):
    ids = [each.attributes["id"] for each in parsed.inside if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    links = [each.attributes["href"] for each in parsed.all("a")]
    assert set(links) <= {f"#{name}" for name in ids}
    assert [each.attributes["href"] for each in parsed.all("nav")[0].all("a")] == [
        f"#{each.attributes['id']}" for each in parsed.all("section")
    ]


def test_headings_are_in_order_and_every_section_is_named_by_its_own(parsed):
    levels = [int(each.tag[1]) for each in parsed.inside if re.fullmatch("h[1-6]", each.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert [each.all("h2")[0].text for each in parsed.all("section")] == list(SECTIONS)
    assert all(
        each.attributes["aria-labelledby"] == each.all("h2")[0].attributes["id"] for each in parsed.all("section")
    )


def test_every_table_has_a_caption_and_its_headings_a_scope(parsed):
    assert parsed.all("table")
    for table in parsed.all("table"):
        assert table.all("caption")[0].text
        assert all(each.attributes["scope"] in ("col", "row") for each in table.all("th"))
        assert {len([cell for cell in row.inside if cell.tag in ("th", "td")]) for row in table.all("tr")} == {
            len(table.all("thead")[0].all("th"))
        }


def test_hostile_names_and_reasons_are_text(text, parsed):
    shown, raw = HOSTILE in parsed.text, HOSTILE in text  # the comparison of whole pages takes pytest minutes
    assert shown
    assert not raw
    assert REASON.split("`")[0].strip() in table_named(parsed, "Values that are not a plain number").text
    assert not parsed.all("img")
    assert not parsed.all("b")
    assert not [name for each in parsed.inside for name in each.attributes if name.startswith("on")]


def test_the_browser_may_run_the_pages_own_scripts_alone(text, parsed):
    policy = parsed.all("meta", **{"http-equiv": "Content-Security-Policy"})[0].attributes["content"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1]
    running = [each for each in parsed.all("script") if each.attributes.get("type") is None]
    assert policy.count("'sha256-") == len(running) + 1  # and that of the library
    addresses = set(re.findall(r"https?://[^\"\s<]*", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a namespace
    assert not [each for each in parsed.inside if "src" in each.attributes]


def test_data_cannot_end_its_script():
    assert embedded({"name": "</script>&"}) == '{"name":"\\u003c/script\\u003e\\u0026"}'
    assert json.loads(embedded({"name": "</script>&"})) == {"name": "</script>&"}


def test_what_stands_in_backticks_is_code_and_escaped():
    assert with_code("run `bench <x>` & wait") == "run <code>bench &lt;x&gt;</code> &amp; wait"


# As a file


def test_the_same_tables_give_the_same_bytes_and_few_of_them(folder, text):
    same = page(page_run(folder, None)) == text
    assert same
    assert len(text.encode()) < LARGEST


def test_the_page_names_no_folder_of_the_machine(folder, text, tmp_path):
    named = str(folder.parent) in text
    assert not named
    rows = [row for row in read_records(folder / RECORDS) if row.method != HOSTILE]
    reason = f"no {tmp_path}/results/a.json in {Path.home()}/models"
    failed = Record(
        preset="toy", method="clt", variant="errors_ablated", seed=0, metric="fvu", status="failed", reason=reason
    )
    (tmp_path / "results").mkdir()
    write_table(tmp_path / "results" / RECORDS, [*rows, failed], Record)
    made = page(page_run(tmp_path / "results", None))
    shown, named = "no results/a.json in ~/models" in made, str(tmp_path) in made
    assert shown
    assert not named


def test_a_table_that_cannot_be_read_costs_its_section_alone(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "audit.csv").write_text("metric\nedges\n")
    root = ParsedPage(page(page_run(tmp_path, None))).root
    assert [each.all("h2")[0].text for each in root.all("section")] == list(SECTIONS)
    [missing] = [each.text for each in root.all("aside") if each.attributes["aria-label"].endswith("Trust")]
    assert "This section could not be made" in missing
    assert "lacks the columns status" in missing
    assert str(tmp_path) not in missing


# The command


def test_report_writes_the_page_beside_the_tables_and_prints_its_path(folder, text):
    done = CliRunner().invoke(main, ["report", "--results", str(folder), "--store", str(folder / "no-store")])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{folder / 'report.html'}\n"
    same = (folder / "report.html").read_text() == text
    assert same


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--results", "{}"], "there is no run in folder"),
        (["--results", "{toy}", "--preset", "quick"], "no records of preset 'quick'"),
        (["--results", "{toy}", "--out", "{}"], "--out is the file that is written, and --results the folder of a run"),
        (["--results", "{toy}", "--out", "{}/a/b.html"], "is in a folder that does not exist; choose another --out"),
        (["--results", "{toy}", "--out", "{}/page"], "as a page, whose name ends in .html"),
    ],
)
def test_report_says_in_one_line_what_cannot_be_done(folder, tmp_path, arguments, told):
    done = CliRunner().invoke(main, ["report", *(each.format(tmp_path, toy=folder) for each in arguments)])
    assert done.exit_code == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def copied(folder, to):
    to.mkdir()
    for file in folder.iterdir():
        if file.name != PAGE:
            (to / file.name).write_bytes(file.read_bytes())
    return to


def test_a_run_says_where_its_page_is_or_why_there_is_none(folder, tmp_path):
    results = copied(folder, tmp_path / "results")
    assert page_line(results, results / "no-store", "toy") == f"page in {results / PAGE}"
    assert page_line(tmp_path, tmp_path, "toy").startswith("no page was written: there is no run in folder")


def test_a_run_makes_a_page_that_is_up_to_date_not_again(folder, tmp_path, monkeypatch):
    results = copied(folder, tmp_path / "results")

    def told():
        return page_line(results, tmp_path / "store", "toy").removeprefix(f"page in {results / PAGE}")

    assert told() == ""
    written = (results / PAGE).stat().st_mtime_ns
    assert told() == ", which was up to date"
    assert (results / PAGE).stat().st_mtime_ns == written
    (results / "audit.csv").write_text("metric\nedges\n")
    assert [told(), told()] == ["", ", which was up to date"]
    monkeypatch.setattr(made_from, "code_version", lambda: "later")
    assert [told(), told()] == ["", ", which was up to date"]
    (tmp_path / "store").mkdir()
    assert told() == ""
    (results / PAGE).write_text("somebody's own")
    assert told() == ""


def test_the_digest_of_a_page_is_over_the_artifacts_that_its_records_come_from(folder, tmp_path):
    rows = [Record(preset="toy", method="dense", seed=0, metric="validation_loss", value=2.0, config_hash="aa")]
    (tmp_path / "results").mkdir()
    write_table(tmp_path / "results" / RECORDS, rows, Record)

    def digest():
        return made_from.digest_of(page_run(tmp_path / "results", tmp_path / "store"))

    (tmp_path / "store" / "artifacts").mkdir(parents=True)
    digests = [digest()]
    for name in ("bb", "aab"):  # of another run, and of this one
        (tmp_path / "store" / "artifacts" / name).mkdir()
        digests.append(digest())
    assert digests[0] == digests[1] != digests[2]


def test_a_run_writes_its_page_unless_it_is_asked_not_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIARY, str(tmp_path / "diary.txt"))
    monkeypatch.setattr("benchmark.cli.cells.check_ownership", lambda: None)  # the tests may run on another checkout
    run = ["run", "--preset", "smoke", "--method", "root", "--tasks", "for_while"]
    with toy_bench() as bench:
        asked = []
        monkeypatch.setattr(RUN_MODULE, "page_line", lambda *given: asked.append(given) or "page in x")
        done = CliRunner().invoke(bench, run)
        assert done.exit_code == 0, done.output
        assert "page in x" in done.stderr
        before = {file.name: file.read_bytes() for file in Path("results").iterdir()}
        assert "page" not in CliRunner().invoke(bench, [*run, "--no-page"]).stderr
        assert {
            file.name: file.read_bytes() for file in Path("results").iterdir()
        } == before  # nothing to make a page of
    assert [(str(out), str(store), preset) for out, store, preset in asked] == [("results", "store", "smoke")]
