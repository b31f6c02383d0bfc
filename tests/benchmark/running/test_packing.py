"""Folders travel whole as bytes, and nothing that arrives leaves the folder that it is written to."""

import pytest

from benchmark.running.packing import pack, unpack


def test_a_folder_arrives_as_it_was(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "weights").mkdir(parents=True)
    (there / "weights" / "layer 0.bin").write_bytes(b"\x00\xff")
    (there / "empty").touch()
    unpack(pack(there), here)
    assert pack(here) == {"empty": b"", "weights/layer 0.bin": b"\x00\xff"}


def test_links_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "secret")
    assert pack(tmp_path / "folder") == {}


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "", "..\\out", "C:out", "."])
def test_no_file_is_written_outside_the_folder(name, tmp_path):
    with pytest.raises(ValueError, match="is not the path of a file inside a folder"):
        unpack({"good": b"", name: b"x"}, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
