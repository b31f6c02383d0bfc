"""Checkpoints: complete at any moment, bound to one run, and set aside if nothing can be resumed from them."""

import os

import pytest
import torch
from safetensors.torch import save_file

from benchmark.progress import StopRequested
from sparse_model import checkpoint
from sparse_model.checkpoint import CHECKPOINT, SET_ASIDE, Checkpoints, State
from sparse_model.resuming import moments_of, restore_moments, train_to_end

RUN = {"seed": 0, "training": {"learning_rate": 0.1}}


class Counting:
    """A run whose state is the number of steps."""

    def __init__(self, total=5):
        self.done, self.total = 0, total

    def advance(self):
        self.done += 1

    def report(self, seconds):
        return self.done, self.total, ""

    def state(self):
        return State({"done": torch.tensor(self.done)}, {"done": self.done})

    def resume(self, state):
        assert state.tensors["done"].item() == state.values["done"]
        self.done = state.values["done"]


def quiet(done, total, note=""):
    pass


def saved(folder, done=3, identity=RUN):
    run = Counting()
    run.done = done
    Checkpoints(folder, identity).save(run.state())
    return folder / CHECKPOINT


def loaded(folder, identity=RUN):
    found = Checkpoints(folder, identity).load()
    return None if found is None else found.values["done"]


def test_every_value_and_type_comes_back_to_the_bit(tmp_path):
    tensors = {
        "none": torch.zeros(0, 3),
        "one": torch.tensor(1 / 3, dtype=torch.float64),
        "flags": torch.tensor([True, False]),
        "half": torch.tensor([[1 / 3, -0.0]], dtype=torch.bfloat16).T,
        "generator": torch.Generator().get_state(),
    }
    values = {"rate": 0.1 + 0.2, "schedule": [{"last": 3}, None]}
    Checkpoints(tmp_path, RUN).save(State.joined({"part": State(tensors, values), "other": State({})}))
    found = Checkpoints(tmp_path, RUN).load().part("part")
    assert found.values == values
    assert sorted(found.tensors) == sorted(tensors)
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)


def test_a_part_does_not_contain_what_has_a_longer_name():
    state = State.joined({"a": State({"x": torch.zeros(1)}), "ab": State({"y": torch.zeros(1)})})
    assert list(state.part("a").tensors) == ["x"]


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, -1])
def test_a_torn_checkpoint_is_set_aside_and_the_training_starts_again(tmp_path, caplog, keep):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    run = Counting()
    train_to_end(run, quiet, Checkpoints(tmp_path, RUN))
    assert run.done == 5
    assert not path.exists()
    assert (tmp_path / SET_ASIDE).exists()
    (record,) = caplog.records
    assert record.name == "sparse_circuit_bench"
    assert f"{path} is" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_no_byte_can_change_unnoticed(tmp_path):
    path, checkpoints = saved(tmp_path), Checkpoints(tmp_path, RUN)
    content = path.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert checkpoints.load() is None, f"byte {position} of {len(content)}: {content[position : position + 20]!r}"
    path.write_bytes(content)
    assert checkpoints.load() is not None


@pytest.mark.parametrize(
    ("other", "named"),
    [({"seed": 1}, "seed"), ({"training": {"learning_rate": 0.2}}, "training"), ({"corpus": "abc"}, "corpus")],
)
def test_a_checkpoint_of_another_run_is_set_aside_with_what_differs(tmp_path, caplog, other, named):
    saved(tmp_path, identity={**RUN, **other})
    assert loaded(tmp_path) is None
    assert f"is a checkpoint of a run with other {named};" in caplog.text
    assert (tmp_path / SET_ASIDE).exists()


@pytest.mark.parametrize(("name", "of"), [("code_version", "code"), ("library_versions", "libraries")])
def test_a_checkpoint_of_other_code_is_set_aside(tmp_path, caplog, monkeypatch, name, of):
    saved(tmp_path)
    monkeypatch.setattr(checkpoint, name, lambda: "another")
    assert loaded(tmp_path) is None
    assert f"with other {of};" in caplog.text


def test_a_file_of_other_tensors_is_set_aside(tmp_path):
    save_file({"done": torch.tensor(3)}, tmp_path / CHECKPOINT)
    assert loaded(tmp_path) is None


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_last_checkpoint_and_nothing_else(tmp_path, monkeypatch, failing):
    saved(tmp_path, done=3)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, interrupted)
        with pytest.raises(KeyboardInterrupt):
            saved(tmp_path, done=4)
    assert loaded(tmp_path) == 3
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_training_goes_on_when_a_checkpoint_cannot_be_written(tmp_path, monkeypatch, caplog):
    saved(tmp_path, done=1)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    run = Counting()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        train_to_end(run, quiet, Checkpoints(tmp_path, RUN))
    assert run.done == 5
    assert "no checkpoint could be written" in caplog.text
    assert loaded(tmp_path) == 1


def test_a_stop_without_its_checkpoint_is_an_error(tmp_path, monkeypatch):
    saved(tmp_path, done=1)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    def stop(done, total, note=""):
        raise StopRequested

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            train_to_end(Counting(), stop, Checkpoints(tmp_path, RUN))
    assert loaded(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_what_a_killed_write_has_left_is_removed_with_the_checkpoint(tmp_path):
    saved(tmp_path)
    (tmp_path / "inner").mkdir()
    for name in (
        ".checkpoint.safetensors.0123.partial",
        SET_ASIDE,
        "inner/.cfg.json.4567.partial",
        "model.safetensors",
    ):
        (tmp_path / name).write_bytes(b"half")
    Checkpoints(tmp_path, RUN).remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "model.safetensors"]
    assert list((tmp_path / "inner").iterdir()) == []


def test_checkpoints_are_written_at_the_interval_or_more_rarely_if_they_take_long(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, RUN)
    now[0] = 59.0
    assert not checkpoints.due
    now[0] = 60.0
    assert checkpoints.due
    checkpoints.save(State({}))
    assert not checkpoints.due
    now[0] = 120.0
    assert checkpoints.due

    def slow(*arguments):
        now[0] += 2.0

    monkeypatch.setattr(checkpoint, "write_tensors", slow)
    checkpoints.save(State({}))
    now[0] += 199.0
    assert not checkpoints.due
    now[0] += 1.0
    assert checkpoints.due


def test_the_next_step_of_an_optimizer_is_the_same_to_the_bit():
    def made():
        parameter = torch.nn.Parameter(torch.ones(3))
        return parameter, torch.optim.Adam([parameter, torch.nn.Parameter(torch.ones(2))], lr=0.1)

    (ours, optimizer), (other, restored) = made(), made()
    for factor in (1.0, 3.0):
        ours.grad = factor * torch.arange(3.0)
        optimizer.step()
    moments = {name: value.clone() for name, value in moments_of(optimizer).items()}
    restore_moments(restored, moments)
    other.data.copy_(ours.data)
    for parameter, each in ((ours, optimizer), (other, restored)):
        parameter.grad = torch.ones(3)
        each.step()
    assert torch.equal(ours, other)
