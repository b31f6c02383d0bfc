"""Files of JSON lines, and what is said of one that cannot be used."""

import json

import pytest

from benchmark.files import CorruptFileError


def write_lines(folder, *lines, name):
    """A file of these lines, each as text or as what it says."""
    path = folder / name
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines), "utf-8")
    return path


def flaw_of(read, path):
    """The flaw that a reader names, in one line that begins with the file."""
    with pytest.raises(CorruptFileError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path} ")
    assert "\n" not in str(raised.value)
    return raised.value.flaw
