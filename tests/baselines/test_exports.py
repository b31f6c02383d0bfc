"""Trained dictionaries in SAELens's and circuit-tracer's files: read again, they are what was trained."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
import toy_run
from click.testing import CliRunner
from guides import follow

from baselines.circuit_tracer_files import read_circuit_tracer
from baselines.exports import sae_lens
from baselines.files import load_dictionary
from benchmark.cli import main
from benchmark.export.stored import trained_artifact
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


def test_the_python_of_the_page_on_dictionaries_writes_both_folders(finished, tmp_path, monkeypatch):
    for name in ("results", "store"):
        (tmp_path / name).symlink_to(finished / name)
    monkeypatch.chdir(tmp_path)
    follow("docs/your-own-dictionary.md")
    assert [read_circuit_tracer(tmp_path / name)[1] for name in ("my-transcoders", "my-clt")] == [False, True]


def test_a_transcoder_that_reads_positions_too_has_our_names_of_its_hooks(finished, tmp_path):
    artifact = trained(finished, "transcoder")
    copy, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(artifact.folder, copy)
    path = copy / "blocks.0.mlp_out" / "cfg.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "d_in": 24}))
    out.mkdir()
    sae_lens(replace(artifact, folder=copy), out)
    found = [json.loads((out / f"blocks.{layer}.mlp_out" / "cfg.json").read_text())["metadata"] for layer in (0, 1)]
    assert [(each["hook_name"], each["hook_name_out"]) for each in found] == [
        ("blocks.0.mlp_in", "blocks.0.mlp_out"),
        ("blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out"),
    ]


def test_what_is_exported_can_be_scored_as_a_saved_dictionary(finished, tmp_path):
    out = exported(finished, tmp_path / "out", "sae", "sae-lens")
    names = [f"blocks.{layer}.resid_post" for layer in range(LAYERS)]
    read, ours = load_dictionary(out, names), load_dictionary(trained(finished, "sae").folder, names)
    for theirs, mine in zip(read.encoders, ours.encoders, strict=True):
        torch.testing.assert_close(theirs.weight, mine.weight)
        torch.testing.assert_close(theirs.threshold, mine.threshold)
