"""Several ranks train what one trains, and can be stopped, resumed and killed like one."""

import json
import multiprocessing
import os
import signal

import psutil
import pytest
import torch
from safetensors.torch import load_file
from toy_corpus import counting_corpus

from benchmark.methods import METHODS
from benchmark.progress import StopRequested
from sparse_model import resuming, training
from sparse_model.config import CorpusModelConfig

SETTINGS = {"d_model": 16, "d_head": 8, "tokens": 50 * 4 * 16, "batch": 4, "validation_windows": 20, "warm_up": 0.1}
METHOD_SETTINGS = {"weight_sparse": {**SETTINGS, "density": 0.4, "learning_rate": 0.05}, "dense": SETTINGS}


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch):
    monkeypatch.setattr(resuming, "REPORT_SECONDS", 0)


@pytest.fixture
def fabric():
    return pytest.importorskip("lightning_fabric", reason="needs sparse-circuit-bench[distributed]")


def quiet(done, total, note=""):
    pass


def train(name, folder, ranks, progress=quiet, **changes):
    """The facts, weights and curve of a training."""
    folder.mkdir(exist_ok=True)
    method = METHODS.named(name)
    config = method.config(**{**METHOD_SETTINGS[name], "ranks": ranks, **changes})
    facts = method.run_train(counting_corpus(), config, 0, {}, folder, progress)
    return facts, load_file(folder / "model.safetensors"), json.loads((folder / "training.json").read_text())["curve"]


def children():
    return psutil.Process().children(recursive=True)


def stop_at(step):
    def progress(done, total, note=""):
        if done == step:
            raise StopRequested

    return progress


@pytest.mark.parametrize("name", METHOD_SETTINGS)
def test_two_ranks_train_what_one_trains(name, tmp_path, fabric):
    facts, weights, curve = train(name, tmp_path / "one", ranks=1)
    found, found_weights, found_curve = train(name, tmp_path / "two", ranks=2)
    assert len(curve) == 50
    assert [point["loss"] for point in found_curve] == pytest.approx([point["loss"] for point in curve], abs=1e-5)
    assert found.validation_loss == pytest.approx(facts.validation_loss, abs=1e-5)
    assert found.nonzero_parameters == facts.nonzero_parameters
    for key, weight in weights.items():
        torch.testing.assert_close(found_weights[key], weight, atol=1e-5, rtol=0)
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.5
    assert children() == []


def test_ranks_that_are_stopped_resume_and_end_with_the_same_bytes(tmp_path, fabric):
    train("weight_sparse", tmp_path / "undisturbed", ranks=2)
    for step in (20, 50):
        with pytest.raises(StopRequested):
            train("weight_sparse", tmp_path / "stopped", 2, stop_at(step))
        assert children() == []
    train("weight_sparse", tmp_path / "stopped", ranks=2)
    for file in (tmp_path / "undisturbed").iterdir():
        assert (tmp_path / "stopped" / file.name).read_bytes() == file.read_bytes()
    assert len(list((tmp_path / "stopped").iterdir())) == 3


def test_a_rank_that_is_killed_is_named_and_none_is_left(tmp_path, fabric):
    def kill_one(done, total, note=""):
        if done == 5:
            os.kill(children()[0].pid, signal.SIGKILL)

    with pytest.raises(RuntimeError, match=r"^rank 1 of the training has ended with status -9$"):
        train("dense", tmp_path, 2, kill_one)
    assert children() == []


def in_daemon(folder):
    train("dense", folder, ranks=2)


def test_a_worker_which_is_a_daemon_trains_with_ranks(tmp_path, fabric):
    process = multiprocessing.get_context("spawn").Process(target=in_daemon, args=(tmp_path / "two",), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "two" / "model.safetensors").exists()


def die(folder):
    train("dense", folder, 2, lambda done, total, note="": os._exit(9))


def test_ranks_end_with_the_process_that_trains(tmp_path, fabric):
    process = multiprocessing.get_context("spawn").Process(target=die, args=(tmp_path / "two",), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == 9
    _, alive = psutil.wait_procs([each for each in psutil.process_iter() if is_rank(each)], timeout=10)
    assert alive == []


def is_rank(process):
    try:
        return "sparse_model.ranks" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_without_fabric_ranks_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    said = r"^ranks 2 needs Lightning Fabric; install sparse-circuit-bench\[distributed\] or choose 1$"
    with pytest.raises(ValueError, match=said):
        train("dense", tmp_path, ranks=2)


def test_a_batch_that_ranks_cannot_share_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="batch 6 is not a multiple of ranks 4; choose 1, 2, 3"):
        CorpusModelConfig(batch=6, ranks=4)


def test_training_in_one_process_has_the_key_that_it_had_before_there_were_ranks():
    assert "ranks" not in CorpusModelConfig().model_dump()
    assert CorpusModelConfig(ranks=2).model_dump()["ranks"] == 2
