"""Files are read within limits, and whatever is wrong with one is one error that names it and its flaw."""

import hashlib
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save

from benchmark import files
from benchmark.files import (
    CorruptFileError,
    check_shapes,
    digest_of,
    inside,
    is_inner_name,
    printable,
    read_bytes,
    read_json,
    read_tensors,
    tensor_entries,
)


def refusal(read, path):
    with pytest.raises(CorruptFileError) as raised:
        read(path)
    assert raised.value.path == path
    assert str(raised.value) == f"{path} {raised.value.flaw}"
    assert str(raised.value).isprintable()
    return raised.value.flaw


def test_importing_the_module_imports_neither_torch_nor_numpy():
    program = "import sys, benchmark.files; assert not {'torch', 'numpy', 'safetensors'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_error_survives_the_way_from_a_worker(tmp_path):
    error = CorruptFileError(tmp_path / "a", "is\nempty \x1b[31m")
    again = pickle.loads(pickle.dumps(error))
    assert (again.path, again.flaw, str(again)) == (error.path, error.flaw, str(error))
    assert again.flaw == r"is empty \x1b[31m"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "nested more than 50 levels"),
        (b"[" * 51 + b"]" * 51, "nested more than 50 levels"),
        (b'{"a": 1, "a": 2}', "key 'a' is there twice"),
        (b'{"a": NaN}', "NaN is not a finite number"),
        (b'{"a": -Infinity}', "-Infinity is not a finite number"),
        (b'{"a": 1e999}', "1e999 is not a finite number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "an integer has 5,000 digits"),
        (b'{"a": "\\ud800"}', "surrogates not allowed"),
        (b"[" + b"1," * 2_000_001 + b"1]", "has more than 2,000,000 values"),
        (b'\xff\xfe{"a": 1}', "is not a complete JSON file"),
        (b"[]", "contains a list; it should contain an object"),
    ],
)
def test_json_beyond_a_limit_is_refused(tmp_path, content, said):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert said in refusal(read_json, path)


def test_json_within_the_limits_is_read(tmp_path):
    content = {"a": [1, -2.5, None, True, {"b": "\N{GRINNING FACE}é\n"}], "": {}}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert read_json(tmp_path / "a.json") == content


def test_a_file_larger_than_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_JSON", 10)
    (tmp_path / "a.json").write_text('{"a": "0123456789"}')
    assert "has 19 bytes; a JSON file has at most 10" in refusal(read_json, tmp_path / "a.json")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("pipe", "zeros", "."):
        assert "is not a readable file" in refusal(lambda path: read_bytes(path, 100), tmp_path / name)
    for name in ("loop", "dangling", "absent"):
        assert refusal(lambda path: read_bytes(path, 100), tmp_path / name)


def tensors_file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape, start, end, kind="F32"):
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ((2 * 10**9).to_bytes(8, "little") + b"{", "a header of 2,000,000,000 bytes, more than 16,777,216"),
        (b"\xff" * 8, "a header of 18,446,744,073,709,551,615 bytes"),
        ((1000).to_bytes(8, "little") + b"{}", "10 bytes, fewer than its header says"),
        (tensors_file({"a": entry([10**9, 10**9], 0, 4)}, bytes(4)), "its shape needs 4,000,000,000,000,000,000"),
        (tensors_file({"a": entry([-1], 0, -4)}), "has no valid shape"),
        (tensors_file({"a": entry([1] * 100, 0, 4)}, bytes(4)), "has no valid shape"),
        (tensors_file({"a": entry([1], 0, 4, "F1024")}, bytes(4)), "has the type 'F1024'"),
        (tensors_file({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, bytes(4)), "tensors overlap or leave gaps"),
        (tensors_file({"a": entry([1], 4, 8)}, bytes(8)), "tensors overlap or leave gaps"),
        (tensors_file({"a": entry([1], 0, 4)}, bytes(8)), "tensors of 4 bytes in 8 bytes of data"),
        (tensors_file({"a": entry([1], 0, 4)}), "tensors of 4 bytes in 0 bytes of data"),
        (tensors_file({"a": 3}), "is not a complete safetensors file"),
        (tensors_file([]), "is not a complete safetensors file"),
        (tensors_file(b"[" * 5000), "nested more than 50 levels"),
        (tensors_file({str(at): entry([0], 0, 0) for at in range(100_001)}), "100,001 tensors, more than 100,000"),
    ],
)
def test_a_header_that_does_not_agree_with_its_file_is_refused_before_anything_is_allocated(tmp_path, content, said):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    assert said in refusal(tensor_entries, path)
    assert said in refusal(read_tensors, path)


def test_tensors_are_read_as_they_were_written_and_compared_with_the_shapes_wanted(tmp_path):
    path, tensors = tmp_path / "a.safetensors", {"a": torch.randn(2, 3), "b": torch.zeros(0), "c": torch.tensor(True)}
    path.write_bytes(save(tensors, {"note": "any"}))
    found = read_tensors(path, {"a": (2, 3), "b": (0,), "c": ()})
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], each) for name, each in tensors.items())
    assert refusal(lambda path: read_tensors(path, {"a": (10**9, 10**9)}), path) == "contains unknown b, c"
    assert "a [2, 3] instead of [3, 2]" in refusal(
        lambda path: read_tensors(path, {"a": (3, 2), "b": (0,), "c": ()}), path
    )


def test_many_wrong_tensors_are_named_shortly(tmp_path):
    wanted = {f"{number}" * 300: (1,) for number in range(9)}
    with pytest.raises(CorruptFileError, match="and 4 more") as raised:
        check_shapes(tmp_path, {}, wanted)
    assert len(str(raised.value)) < 1500


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/etc/passwd", "C:\\a", "C:a", "..", "", "a\0b", "a\\..\\b", "\\\\host\\a", "//a"]
)
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    assert not is_inner_name(name)
    with pytest.raises(CorruptFileError, match="is not inside its folder"):
        inside(tmp_path, name, tmp_path / "manifest.json")


def test_a_link_out_of_a_folder_is_refused_and_a_name_inside_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    with pytest.raises(CorruptFileError, match="'link/a', which is not inside its folder"):
        inside(tmp_path / "in", "link/a", tmp_path / "manifest.json")
    assert inside(tmp_path / "in", "a/b..c", tmp_path / "manifest.json") == tmp_path / "in/a/b..c"


def test_text_that_would_drive_a_terminal_is_shown_as_text():
    assert printable("a\x1b[2J\r\x07\tb\né\u202e") == "a\\x1b[2J\\r\\x07\tb\né\\u202e"


def test_the_digest_of_a_file_is_that_of_its_bytes_as_they_are_now(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    assert digest_of(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"three")
    assert digest_of(file) == hashlib.sha256(b"three").hexdigest()
    assert refusal(digest_of, tmp_path / "nowhere").startswith("does not exist")
