"""Where documents come from, and what is said about text that is none."""

import itertools
import json
import os
import platform
import socket
from importlib import metadata
from pathlib import Path

import pytest
from conftest import write_python_folder
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmark import files
from benchmark.corpus import SPLITS, CorpusConfig, build, source_version, sources
from benchmark.corpus.config import MIXED
from benchmark.corpus.documents import passages
from benchmark.corpus.sources import open_source, read_folder, split_files
from benchmark.files import MIB
from benchmark.running.config import configure

ROOT = Path(__file__).parents[3]


def opened(name):
    return open_source(name, CorpusConfig(sources={name: 1.0}))


def test_binary_and_non_utf8_files_are_skipped_and_named(python_folder, tmp_path):
    (tmp_path / "good.txt").write_bytes("\ufefféa\r\nb\r".encode())
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "latin.py").write_bytes("# caf\xe9\n".encode("latin-1"))
    (tmp_path / ".hidden").write_text("secret")
    texts, skipped = read_folder(tmp_path)
    assert texts == {"good.txt": "éa\nb\n"}
    assert skipped == {"picture.png": "binary", "latin.py": "not UTF-8"}


def test_a_folder_without_text_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"path:{tmp_path}: the folder contains no text; add files of UTF-8 text$"):
        opened(f"path:{tmp_path}")
    (tmp_path / "a.bin").write_bytes(b"\0")
    (tmp_path / "empty.py").write_text("\n")
    with pytest.raises(ValueError, match=r"the folder contains no text \(skipped: a\.bin is binary\)"):
        opened(f"path:{tmp_path}")


def test_files_are_dealt_out_whole_and_every_split_gets_some():
    sizes = {f"{number}.py": 10 for number in range(100)}
    parts = split_files("path:x", sizes, 0)
    assert {split: len(files) for split, files in parts.items()} == {"train": 90, "validation": 5, "test": 5}
    assert sorted(itertools.chain(*parts.values())) == sorted(sizes)
    assert parts != split_files("path:x", sizes, 1)
    assert [len(files) for files in split_files("path:x", {"a": 1, "b": 100, "c": 1}, 0).values()] == [1, 1, 1]


def test_standard_library_is_split_by_file_and_holds_no_tests():
    source = opened("stdlib")
    documents = {split: list(source.documents(split)) for split in ("validation", "test")}
    assert all(len(found) > 100 for found in documents.values())
    assert not any("unittest.main" in document for document in documents["test"])
    assert sum(source.files.values()) > 300


def test_idioms_differ_between_splits_and_repeat_for_a_seed():
    drawn = {split: list(itertools.islice(opened("idioms").documents(split), 5)) for split in SPLITS}
    assert drawn["train"] == list(itertools.islice(opened("idioms").documents("train"), 5))
    assert not set(drawn["train"]) & set(drawn["validation"] + drawn["test"])


def test_source_version_follows_what_the_documents_depend_on(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("one")
    before = source_version(f"path:{tmp_path}")
    assert before == source_version(f"path:{tmp_path}")
    (tmp_path / "a.txt").write_text("two")
    assert source_version(f"path:{tmp_path}") != before
    assert source_version("stdlib") == platform.python_version()
    assert source_version("idioms") == ""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Makes files a distribution that is installed."""

    def installed(name, files, folder="site"):
        site = tmp_path / folder
        for file, content in files.items():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_bytes(content)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        monkeypatch.syspath_prepend(site)

    return installed


def function_in(file):
    return f"def {Path(file).stem}():\n    return 1\n".encode()


def test_a_distribution_is_read_without_its_tests_and_scripts(install):
    kept = ["toy/a.py", "toy/b.py", "toy/sub/c.py", "toy.py"]
    left_out = ["toy/tests/d.py", "toy/test_e.py", "toy/conftest.py", "toy/testing/f.py", "../bin/g.py", "toy/h.pyi"]
    install("toy", {file: function_in(file) for file in [*kept, *left_out]})
    found = [document for split in SPLITS for document in opened("package:toy").documents(split)]
    assert sorted(found) == sorted(function_in(file).decode() for file in kept)


def test_a_distribution_gives_the_same_documents_whatever_its_line_ends(install):
    files = {f"toy/{name}.py": function_in(name) for name in "abcd"}
    install("toy", files)
    before = source_version("package:toy")
    documents = {split: list(opened("package:toy").documents(split)) for split in SPLITS}
    install("toy", {file: content.replace(b"\n", b"\r\n") for file, content in files.items()}, folder="windows")
    assert {split: list(opened("package:toy").documents(split)) for split in SPLITS} == documents
    assert source_version("package:toy") == before
    install("toy", {**files, "toy/a.py": b"def other(): pass\n"}, folder="other")
    assert source_version("package:toy") != before


@pytest.mark.parametrize("function", [opened, source_version])
def test_a_distribution_without_source_is_refused_with_the_reason(function, install):
    with pytest.raises(ValueError, match=r"^corpus source package:nothing: no distribution 'nothing' is installed$"):
        function("package:nothing")
    install("fast", {"fast.so": b"\0", "fast.pyi": b""})
    with pytest.raises(
        ValueError, match=r"^corpus source package:fast: the distribution contains only compiled files$"
    ):
        function("package:fast")
    install("empty", {"empty.txt": b"text"})
    with pytest.raises(ValueError, match=r"^corpus source package:empty: the distribution contains no Python files$"):
        function("package:empty")


def test_the_packages_of_the_default_mix_are_dependencies_at_pinned_versions():
    wanted, needed = ["sparse-circuit-bench"], set()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name not in needed:
            needed.add(name)
            requirements = map(Requirement, metadata.requires(name) or ())
            wanted += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    constraints = (ROOT / "constraints.txt").read_text().split()
    for source in MIXED:
        name = source.removeprefix("package:")
        if name != source:
            assert name in needed
            assert f"{name}=={metadata.version(name)}" in constraints


@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_no_package_is_exhausted_by_a_preset(preset):
    config = configure(preset, ["dense"]).corpus
    for name, share in config.sources.items():
        if name != "idioms":
            characters = sum(min(len(text), 3 * config.context) for text in opened(name).documents("train"))
            assert characters / 3 > share * config.tokens


@pytest.mark.parametrize("function", [opened, source_version])
def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_built(function, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: there is no such folder"):
        function(f"path:{tmp_path / 'nowhere'}")
    with pytest.raises(ValueError, match=r"the folder contains no text"):
        function(f"path:{tmp_path}")
    (tmp_path / "one.txt").write_text("text")
    with pytest.raises(
        ValueError, match=r"4 characters are 1 document, too few for 3 splits; add text \(about 5,140 tokens"
    ):
        function(f"path:{tmp_path}")
    (tmp_path / "one.txt").unlink()
    (tmp_path / "pipe").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"contains no text \(skipped: pipe is a dangling link\)"):
        function(f"path:{tmp_path}")


@pytest.fixture
def odd_folder(tmp_path):
    """Three files of text among entries that are none."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.py").write_text(f"def {name}():\n    return 1\n")
    (folder / "dangling.py").symlink_to(folder / "nowhere.py")
    (folder / "linked.py").symlink_to(folder / "a.py")
    (folder / "loop").symlink_to(folder)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.py").symlink_to(tmp_path / "secret.txt")
    (folder / "zero.py").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.py")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.py")).write_text("x = 1\n")
    return folder


ODD = {
    "dangling.py": "a dangling link",
    "loop": "a link to a folder, which is not followed",
    "out.py": "a link out of the folder, which is not followed",
    "zero.py": "not a regular file",
    "pipe.py": "not a regular file",
    "socket": "not a regular file",
    r"caf\xe9.py": "not named in UTF-8",
}


def test_what_is_no_readable_file_is_skipped_and_named_and_never_opened(odd_folder):
    texts, skipped = read_folder(odd_folder)
    assert list(texts) == ["a.py", "b.py", "c.py", "linked.py"]
    assert skipped == ODD


def test_a_folder_with_odd_entries_has_the_version_of_its_files(odd_folder):
    before = source_version(f"path:{odd_folder}")
    (odd_folder / "dangling.py").unlink()
    (odd_folder / "pipe.py").unlink()
    assert source_version(f"path:{odd_folder}") == before
    (odd_folder / "a.py").write_text("x = 3\n")
    assert source_version(f"path:{odd_folder}") != before


def test_a_file_that_may_not_be_read_is_skipped_and_named(odd_folder, monkeypatch):
    def refused(path):
        if path.name == "b.py":
            raise PermissionError(13, "Permission denied")
        return files.open_regular(path)

    monkeypatch.setattr(sources, "open_regular", refused)
    texts, skipped = read_folder(odd_folder)
    assert "b.py" not in texts
    assert skipped["b.py"] == "unreadable (Permission denied)"
    assert source_version(f"path:{odd_folder}")


def test_files_that_are_too_large_or_in_another_encoding_are_skipped_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LIMITS", sources.LIMITS._replace(file=3 * MIB))
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text("text\n")
    (tmp_path / "large.txt").write_bytes(b"line\n" * 700_000)
    (tmp_path / "line.txt").write_bytes(b"short\n" + b"x" * (MIB + 1) + b"\nend")
    (tmp_path / "mac.txt").write_bytes(b"line\r" * 400_000)
    (tmp_path / "utf_16.txt").write_bytes("text".encode("utf-16"))
    (tmp_path / "wide.txt").write_bytes("text".encode("utf-16-le"))
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    texts, skipped = read_folder(tmp_path)
    assert list(texts) == ["a.txt", "b.txt", "c.txt", "mac.txt"]
    assert skipped == {
        "large.txt": "larger than 3 MiB",
        "line.txt": "a file with a line of more than 1,048,576 bytes",
        "utf_16.txt": "UTF-16, not UTF-8",
        "wide.txt": "binary",
        "latin.txt": "not UTF-8",
    }


@given(st.text("ab\n\r", max_size=60), st.integers(2, 20))
def test_a_longer_line_is_found_wherever_it_is(text, longest):
    content = text.encode()
    assert sources._has_longer_line(content, longest) == any(len(line) > longest for line in content.splitlines())


def test_a_line_of_200_megabytes_takes_no_time(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text("text\n")
    with (tmp_path / "line.txt").open("wb") as file:
        file.truncate(200_000_000)
    texts, skipped = read_folder(tmp_path)
    assert (list(texts), list(skipped)) == (["a.txt", "b.txt", "c.txt"], ["line.txt"])


def test_a_folder_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LIMITS", sources.LIMITS._replace(entries=2))
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text("text\n")
    with pytest.raises(ValueError, match="contains more than 2,048 MiB or 2 files; choose a smaller one"):
        read_folder(tmp_path)


def test_a_folder_with_too_little_text_is_refused_with_what_would_suffice(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text("text\n")
    name = f"path:{tmp_path}"
    with pytest.raises(
        ValueError,
        match=r"add text \(about 5,140 tokens in all, or 15,420 characters\), or choose a smaller corpus\.context",
    ):
        source_version(name, CorpusConfig(sources={name: 1.0}))
    for number, letter in enumerate("abcdef"):
        (tmp_path / f"{letter}.txt").write_text(f"text {number}\n")
    assert source_version(name, CorpusConfig(sources={name: 1.0}, context=3))
    assert source_version(name, CorpusConfig(sources={name: 0.5, "idioms": 0.5}))


def test_what_was_skipped_is_counted_and_named_in_the_facts_and_in_a_line_of_progress(odd_folder, tmp_path):
    write_python_folder(odd_folder)
    told, config = [], CorpusConfig(sources={f"path:{odd_folder}": 1.0}, tokens=5_000, vocabulary=300, context=16)
    build(config, tmp_path, lambda done, total, note="": told.append(note))
    source = json.loads((tmp_path / "corpus.json").read_text())["sources"][f"path:{odd_folder}"]
    assert (source["skipped"], source["skipped_count"]) == (ODD, 7)
    assert f"path:{odd_folder}: skipped 7: " in told[0]
    assert "dangling.py is a dangling link" in told[0]


def test_fewer_than_three_files_are_split_by_their_documents(tmp_path):
    (tmp_path / "one.py").write_text("".join(f"def f{number}():\n    return {number}\n\n\n" for number in range(60)))
    source = opened(f"path:{tmp_path}")
    documents = {split: list(source.documents(split)) for split in SPLITS}
    assert len(documents["train"]) > 50
    assert all(documents.values())
    assert len({text for found in documents.values() for text in found}) == 60
    assert source_version(f"path:{tmp_path}")


def test_one_large_file_among_small_ones_is_split_by_its_documents(tmp_path):
    paragraphs = [f"Paragraph {number} has\nsome lines.\n\n" * 20 for number in range(60)]
    (tmp_path / "large.txt").write_text("".join(paragraphs))
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"small {name}\n")
    source = opened(f"path:{tmp_path}")
    documents = {split: list(source.documents(split)) for split in SPLITS}
    characters = {split: sum(map(len, found)) for split, found in documents.items()}
    assert min(characters["validation"], characters["test"]) > 0.04 * sum(characters.values())
    assert characters["train"] > 0.8 * sum(characters.values())
    assert sorted("".join(itertools.chain(*documents.values()))) == sorted("".join([*paragraphs, "small a\nsmall b\n"]))
    assert not source.files


@pytest.mark.parametrize("name", ["one.txt", "one.py", "one.jsonl"])
def test_a_path_may_be_that_of_one_file_which_is_split_where_its_documents_end(tmp_path, name):
    pieces = {
        "one.txt": [f"A paragraph\nwith number {number}.\n\n" for number in range(300)],
        "one.py": [f"def f{number}():\n    return {number}\n" for number in range(300)],
        "one.jsonl": [f"the text of row {number}" for number in range(300)],
    }[name]
    lines = [json.dumps({"id": 1, "text": piece}) + "\n" for piece in pieces] if name == "one.jsonl" else pieces
    (tmp_path / name).write_text("".join(lines))
    source = open_source(f"path:{tmp_path / name}", CorpusConfig(sources={f"path:{tmp_path / name}": 1.0}, context=16))
    documents = {split: list(source.documents(split)) for split in SPLITS}
    assert all(documents.values())
    drawn = list(itertools.chain(*documents.values()))
    assert sorted("".join(drawn)) == sorted("".join(pieces))
    assert all("".join(pieces).count(document) == 1 for document in drawn if name != "one.jsonl")
    if name != "one.txt":
        assert sorted(drawn) == sorted(pieces)


def test_json_lines_without_a_text_are_skipped_with_the_line(tmp_path):
    (tmp_path / "good.jsonl").write_text('{"content": "one"}\n\n{"code": "two"}\n{"text": "three"}\n')
    (tmp_path / "broken.jsonl").write_text('{"text": "one"}\n{"text": \n')
    (tmp_path / "other.jsonl").write_text('{"body": "one"}\n')
    (tmp_path / "deep.jsonl").write_text("[" * 100_000 + "\n")
    texts, skipped = read_folder(tmp_path)
    assert list(texts) == ["good.jsonl"]
    assert skipped == {
        "broken.jsonl": "JSON lines, of which line 2 is not JSON",
        "other.jsonl": "JSON lines, of which line 1 has no text or content or code",
        "deep.jsonl": "JSON lines, of which line 1 is not JSON",
    }


def test_folders_that_have_too_little_text_together_are_refused_with_what_would_suffice(tmp_path):
    names = [f"path:{tmp_path / folder}" for folder in ("one", "two")]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for number in range(40):
            (tmp_path / folder / f"{number}.txt").write_text(f"the same {number}\n")
    config = CorpusConfig(sources=dict.fromkeys(names, 0.5), context=32)
    with pytest.raises(
        ValueError, match=r"one, path:.*two: .* give at most \d+ tokens for .* without repeated documents"
    ):
        [source_version(name, config) for name in names]
    for number in range(40):
        (tmp_path / "two" / f"{number}.txt").write_text(f"another text of number {number}\n" * 20)
    assert all(source_version(name, config) for name in names)


def test_a_huge_line_is_cut_into_passages():
    text = "x" * 2500 + "\nend\n"
    assert "".join(passages(text, 768)) == text
    assert max(map(len, passages(text, 768))) == 768


class TestDatasets:
    """Hugging Face datasets, read from local files."""

    @pytest.fixture(autouse=True)
    def _only_with_datasets(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        pytest.importorskip("datasets")

    @pytest.fixture
    def rows(self):
        return [{"id": number, "content": f"def f{number}():\n    return {number}\n"} for number in range(200)]

    def test_json_lines_are_read_and_split_by_row(self, tmp_path, rows):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        drawn = [document for split in SPLITS for document in opened(f"hf:{file}").documents(split)]
        assert sorted(drawn) == sorted(row["content"] for row in rows)

    def test_parquet_folders_are_read(self, tmp_path, rows):
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
        source = opened(f"hf:{tmp_path}")
        counts = [len(list(source.documents(split))) for split in SPLITS]
        assert sum(counts) == 200
        assert counts[0] > 150

    def test_a_dataset_without_text_names_its_columns(self, tmp_path):
        file = tmp_path / "numbers.jsonl"
        file.write_text('{"a": 1, "b": 2}\n')
        with pytest.raises(ValueError, match="no column of text among a, b"):
            opened(f"hf:{file}")

    def test_rows_without_text_come_before_those_that_have_some(self, tmp_path, rows):
        file = tmp_path / "late.jsonl"
        empty = [{"id": 0, "content": None}, {"id": 1, "content": ""}, {"id": 2}]
        file.write_text("".join(json.dumps(row) + "\n" for row in [*empty, *rows]))
        drawn = [document for split in SPLITS for document in opened(f"hf:{file}").documents(split)]
        assert sorted(drawn) == sorted(row["content"] for row in rows)

    def test_a_dataset_that_cannot_be_loaded_is_named(self, tmp_path):
        file = tmp_path / "broken.jsonl"
        file.write_text("{")
        with pytest.raises(ValueError, match=r"hf:\S*broken.jsonl cannot be loaded"):
            opened(f"hf:{file}")


def test_the_same_files_are_split_alike_wherever_they_lie():
    sizes = {f"module_{number}.py": 100 + number for number in range(40)}
    assert split_files("path:/here", sizes, 3) == split_files("path:/somewhere/else", sizes, 3)
    assert split_files("path:/here", sizes, 3) != split_files("path:/here", sizes, 4)
