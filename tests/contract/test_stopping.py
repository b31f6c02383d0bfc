"""Whenever the training of a method is stopped or killed, it resumes and ends with the same bytes."""

import pytest
from tiny_dense import random_corpus, random_dense

from benchmark.methods import METHODS
from benchmark.progress import StopRequested
from sparse_model import checkpoint, resuming

STEPS = 12

TRANSFORMER = {
    "d_model": 16,
    "density": 0.5,
    "bigram": False,
    "tokens": STEPS * 20,
    "batch": 2,
    "validation_windows": 8,
}
DENSE = {**TRANSFORMER, "density": 1.0}
DICTIONARY = {"features": 24, "k": 2, "tokens": STEPS * 40, "batch": 40, "measured_tokens": 60}
SETTINGS = {
    "weight_sparse": TRANSFORMER,
    "random_weights": TRANSFORMER,
    "dense": DENSE,
    "activation_sparse": DENSE,
    "sae": {**DICTIONARY, "dead_after": 1, "revivals": 5},
    "transcoder": {**DICTIONARY, "dead_after": 1, "revivals": 5},
    "clt": {**DICTIONARY, "dead_after": 1, "revivals": 5},
    "random_dictionary": {"features": 24, "k": 2, "measured_tokens": 60},
}
RUNS = [
    *SETTINGS.items(),
    ("sae", {**SETTINGS["sae"], "activation": "topk"}),
    ("clt", {**SETTINGS["clt"], "activation": "topk"}),
    ("clt", {**SETTINGS["clt"], "activation": "jumprelu"}),
    ("lorsa", {**SETTINGS["clt"], "qk_heads": 4}),
]


class KilledError(Exception):
    pass


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch):
    monkeypatch.setattr(resuming, "REPORT_SECONDS", 0)


def train(name, settings, folder, progress):
    method = METHODS.named(name)
    folder.mkdir(exist_ok=True)
    needed = {"dense": random_dense()} if method.needs else {}
    return method.run_train(random_corpus(), method.config(**settings), 3, needed, folder, progress)


def after(reports, error):
    """A progress that raises at a report, counted from 1, and keeps in `seen` what it is told."""

    def progress(done, total, note=""):
        progress.seen.append(done)
        if len(progress.seen) == reports:
            raise error

    progress.seen = []
    return progress


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_method_is_tried():
    ours = {name: method for name, method in METHODS.items() if METHODS.origin(name).startswith("sparse-circuit-bench")}
    assert set(SETTINGS) == {name for name, method in ours.items() if not method.by_name}


@pytest.mark.parametrize(("name", "settings"), RUNS)
def test_a_training_that_was_stopped_several_times_ends_with_the_same_bytes(name, settings, tmp_path):
    never = after(None, None)
    expected = train(name, settings, tmp_path / "undisturbed", never)
    stopped = [1, 2, 4, 1, STEPS - 8] if len(never.seen) == STEPS else [1]
    for reports in stopped:
        with pytest.raises(StopRequested):
            train(name, settings, tmp_path / "stopped", after(reports, StopRequested()))
    rest = after(None, None)
    assert train(name, settings, tmp_path / "stopped", rest) == expected
    if len(never.seen) == STEPS:
        assert sum(stopped) == STEPS  # it was stopped after its last step, too
        assert rest.seen == []
    assert files(tmp_path / "stopped") == files(tmp_path / "undisturbed")


@pytest.mark.parametrize("name", ["weight_sparse", "sae", "clt"])
def test_a_training_that_was_killed_resumes_from_its_last_checkpoint(name, tmp_path, monkeypatch):
    expected = train(name, SETTINGS[name], tmp_path / "undisturbed", after(None, None))
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", 1e9)
    for reports in (3, 6):
        with pytest.raises(KilledError):
            train(name, SETTINGS[name], tmp_path / "killed", after(reports, KilledError()))
    rest = after(None, None)
    assert train(name, SETTINGS[name], tmp_path / "killed", rest) == expected
    assert len(rest.seen) == STEPS - (3 - 1) - (6 - 1)
    assert files(tmp_path / "killed") == files(tmp_path / "undisturbed")
