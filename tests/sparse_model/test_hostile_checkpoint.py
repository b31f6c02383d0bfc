"""A released checkpoint from a stranger executes nothing, writes nothing, and takes no more memory than its config."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from mutated import altered, damaged
from test_released import SETTINGS, checkpoint, refusal, write

from benchmark.files import CorruptFileError
from sparse_model.pytorch_file import read_state_dict
from sparse_model.released.checkpoint import load_released

FILE = "final_model.pt"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "released").mkdir()
    write(tmp_path / "released", SETTINGS, checkpoint(SETTINGS))
    return tmp_path / "released"


def rewritten(folder, change, compression=zipfile.ZIP_STORED):
    """Write the checkpoint's archive again with other entries: `change` takes and returns bytes by name."""
    with zipfile.ZipFile(folder / FILE) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(folder / FILE, "w", compression) as archive:
        for name, content in change(entries).items():
            archive.writestr(name, content)


class Bomb:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pickled_as(content):
    return lambda entries: {
        name: content if name.endswith("data.pkl") else bytes_of for name, bytes_of in entries.items()
    }


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_that_would_run_a_command_is_refused_and_runs_none(folder, protocol, wrapped):
    mark = folder.parent / "executed"
    bomb = Bomb(os.system, f"touch {mark}")
    content = pickle.dumps({"weight": bomb} if wrapped else bomb, protocol)
    rewritten(folder, pickled_as(content))
    said = refusal(folder)
    assert "contains more than tensors; save only the model's state_dict()" in said
    assert ("system" in said) == (protocol == 2)
    assert not mark.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["beeg_config.json", FILE]


@pytest.mark.parametrize("call", [(bytearray, 10**12), (eval, "1"), (exec, "1"), (torch.zeros, 10**12), (Path, "x")])
def test_no_function_but_those_that_make_tensors_is_called(folder, call):
    rewritten(folder, pickled_as(pickle.dumps(Bomb(*call), 2)))
    assert "contains more than tensors" in refusal(folder)


def test_a_bare_pickle_is_not_a_checkpoint(folder):
    (folder / FILE).write_bytes(pickle.dumps(Bomb(os.system, f"touch {folder.parent / 'executed'}")))
    assert f"{FILE} is not a complete PyTorch checkpoint" in refusal(folder)
    assert not (folder.parent / "executed").exists()


def test_tuples_of_tuples_whose_hash_never_ends_are_refused(folder):
    nested = ()
    for _ in range(60):
        nested = (nested, nested)
    rewritten(folder, pickled_as(pickle.dumps([nested], 2)))
    assert "a tuple of tuples has more than 10,000 values" in refusal(folder)


def test_a_zip_bomb_is_refused_by_its_compression(folder):
    rewritten(folder, lambda entries: {**entries, "archive/data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert (folder / FILE).stat().st_size < 1_000_000
    assert "PyTorch compresses none" in refusal(folder)


def test_entries_that_declare_more_than_the_file_has_are_refused(folder):
    raw = (folder / FILE).read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        start = archive.start_dir
    assert raw[start : start + 4] == b"PK\x01\x02"
    large = (2**31).to_bytes(4, "little")
    (folder / FILE).write_bytes(raw[: start + 20] + large * 2 + raw[start + 28 :])
    assert "contains entries of 2,147," in refusal(folder)


def test_more_bytes_than_a_model_of_the_config_has_are_refused(folder):
    rewritten(folder, lambda entries: {**entries, f"{next(iter(entries)).split('/')[0]}/data/extra": bytes(30 * 2**20)})
    assert "and a model of its config at most" in refusal(folder)


@pytest.mark.parametrize("name", ["../outside", "/absolute", "a/../../outside", "a\\..\\outside", "C:/outside"])
def test_an_entry_that_leads_out_of_the_folder_is_refused(folder, name):
    rewritten(folder, lambda entries: {**entries, name: b"x"})
    assert "which leads out of its folder" in refusal(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["released"]


def test_tensors_without_numbers_of_their_own_are_refused(tmp_path):
    for name, weights in {
        "repeated": {"a": torch.zeros(1).expand(10**9)},
        "shared": {str(number): tensor for number, tensor in enumerate([torch.zeros(1000)] * 1000)},
        "sparse": {"a": torch.zeros(3, 3).to_sparse()},
        "complex": {"a": torch.zeros(3, dtype=torch.complex64)},
        "numbered": {1: torch.zeros(3)},
    }.items():
        torch.save(weights, tmp_path / name)
        with pytest.raises(CorruptFileError, match=r"contains (more than tensors|tensors that share)"):
            read_state_dict(tmp_path / name, 10**9)


def test_a_config_larger_than_its_weights_is_refused_before_anything_is_allocated(folder):
    write(folder, {**SETTINGS, "d_model": 999_968, "n_head": 62_498, "vocab_size": 10**6}, checkpoint(SETTINGS))
    assert "contains tensors whose shape does not match its config" in refusal(folder)
    write(folder, {**SETTINGS, "n_layer": 10**6}, checkpoint(SETTINGS))
    assert "choose a number from 1 up to 1,000" in refusal(folder)


@pytest.mark.parametrize("cases", [pytest.param(25, id="few"), pytest.param(500, id="many", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [FILE, "beeg_config.json"])
def test_any_checkpoint_is_loaded_or_refused_in_one_line(folder, name, cases):
    sound = (folder / name).read_bytes()

    @settings(max_examples=cases, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged(sound) if name == FILE else altered(SETTINGS))
    def check(content):
        (folder / name).write_bytes(content)
        said = ""
        try:
            load_released(folder)
        except ValueError as error:
            said = str(error)
        assert "\n" not in said
        assert len(said) < 4000

    check()
