"""Trained dictionaries in SAELens's and circuit-tracer's files: read again, they are what was trained."""

import json

import pytest
import torch
import toy_run
from click.testing import CliRunner

from baselines.circuit_tracer_files import read_circuit_tracer
from baselines.exports import sae_lens
from baselines.files import load_dictionary
from benchmark.cli import main
from benchmark.export.stored import trained_artifact
from benchmark.methods import TrainedArtifact
from benchmark.running.finished import load_model, open_run

LAYERS = 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    toy_run.toy_run(folder, "sae", "transcoder", "clt")
    return folder


def exported(finished, out, method, form):
    places = ("--results", str(finished / "results"), "--store", str(finished / "store"))
    done = CliRunner().invoke(main, ["export", method, "--to", form, "--out", str(out), *places])
    assert done.exit_code == 0, done.output
    return out


def trained(finished, method):
    return trained_artifact(open_run(finished / "results", finished / "store"), method)


@pytest.mark.parametrize(
    ("method", "hook", "hooks"),
    [
        ("sae", "resid_post", {"hook_name": "hook_resid_post"}),
        ("transcoder", "mlp_out", {"hook_name": "mlp.hook_in", "hook_name_out": "hook_mlp_out"}),
    ],
)
def test_sae_lens_loads_each_layer_with_its_hooks_and_gives_our_features(finished, tmp_path, method, hook, hooks):
    import sae_lens as theirs

    out = exported(finished, tmp_path / "out", method, "sae-lens")
    assert sorted(path.name for path in out.iterdir()) == [f"blocks.{layer}.{hook}" for layer in range(LAYERS)]
    ours = load_model(finished / "results", method, store=finished / "store")
    rows = torch.randn(20, 16, generator=torch.Generator().manual_seed(0))
    for layer in range(LAYERS):
        loaded = theirs.SAE.load_from_disk(out / f"blocks.{layer}.{hook}")
        for name, value in hooks.items():
            assert getattr(loaded.cfg.metadata, name) == f"blocks.{layer}.{value}"
        assert loaded.cfg.metadata.context_size == 32
        torch.testing.assert_close(loaded.encode(rows), ours.encoders[layer](rows))


@pytest.mark.parametrize("method", ["transcoder", "clt"])
def test_circuit_tracer_s_folder_is_read_as_the_same_dictionary(finished, tmp_path, method):
    out = exported(finished, tmp_path / "out", method, "circuit-tracer")
    read, cross_layer = read_circuit_tracer(out)
    assert cross_layer == (method == "clt")
    ours = load_model(finished / "results", method, store=finished / "store")
    rows = torch.randn(20, 16, generator=torch.Generator().manual_seed(0))
    for layer in range(LAYERS):
        torch.testing.assert_close(read.encoders[layer](rows), ours.encoders[layer](rows))
        for theirs, mine in zip(read.decoders[layer], ours.decoders[layer], strict=True):
            torch.testing.assert_close(theirs, mine.data)


def test_a_transcoder_that_reads_positions_is_refused(finished, tmp_path):
    artifact = trained(finished, "transcoder")
    copy = tmp_path / "copy"
    for layer in range(LAYERS):
        folder = copy / f"blocks.{layer}.mlp_out"
        folder.mkdir(parents=True)
        for path in (artifact.folder / folder.name).iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        settings = json.loads((folder / "cfg.json").read_text())
        (folder / "cfg.json").write_text(json.dumps({**settings, "d_in": 24}))
    wider = TrainedArtifact("transcoder", 0, copy, artifact.inputs, {}, "", {})
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"blocks\.0\.mlp_out reads 24 channels, concatenated positions among them"):
        sae_lens(wider, tmp_path / "out")


def test_what_is_exported_can_be_scored_as_a_saved_dictionary(finished, tmp_path):
    out = exported(finished, tmp_path / "out", "sae", "sae-lens")
    names = [f"blocks.{layer}.resid_post" for layer in range(LAYERS)]
    read, ours = load_dictionary(out, names), load_dictionary(trained(finished, "sae").folder, names)
    for theirs, mine in zip(read.encoders, ours.encoders, strict=True):
        torch.testing.assert_close(theirs.weight, mine.weight)
        torch.testing.assert_close(theirs.threshold, mine.threshold)
