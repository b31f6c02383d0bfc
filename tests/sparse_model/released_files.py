"""Files in the formats released with Gao et al. 2025, written by hand as their viewer reads them."""

import json

import torch

STRING_CLOSING = {
    "0.mlp.act_in": [0, 1],
    "0.mlp.post_act": [5, 9],
    "0.mlp.resid_delta": [2, 3],
    "1.attn.act_in": [2, 3],
    "1.attn.q": [3],
    "1.attn.k": [3],
    "1.attn.v": [7],
    "1.attn.resid_delta": [4],
    "final_resid": [4],
}
"""The paper's circuit of 12 nodes and 9 edges, in the model of `golden/string_closing.py`, and what the logits read."""


def viz_data(kept=STRING_CLOSING, config=None, **more):
    """The content of a `viz_data.pt`."""
    joined = ("0.mlp.act_in", "0.mlp.post_act")
    examples = {0.001: [torch.zeros(2, 8, dtype=torch.long), torch.ones(2, 8).bfloat16()], 0.5: []}
    return {
        "circuit_data": {location: torch.tensor(nodes, dtype=torch.long) for location, nodes in kept.items()},
        "samples": {location: dict.fromkeys(nodes, examples) for location, nodes in kept.items()},
        "importances": {
            "loss": torch.tensor(0.1),
            "interv_loss": 0.3,
            "pair_data": [(torch.ones(2, 2), [0, 1, "bias"], [5, 9], joined)],
            "pair_data_connections": [(torch.ones(2, 2), joined)],
            "task_samples": (torch.zeros(32, 16, dtype=torch.long), {"0.mlp.act_in": {0: torch.zeros(32, 16)}}),
            "beeg_model_config": {"n_layer": 2, "d_model": 16, "dropout": 0.0} if config is None else config,
        },
        "all_loss": [(0, 0.5), (1, torch.tensor(0.2))],
        "prune_config": {"lr": 3e-3, "k_coef": 1e-4, "name": None},
        "num_total_nodes": 208,
        **more,
    }


def write_model(folder, settings, weights):
    """A released checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "beeg_config.json").write_text(json.dumps(settings))
    torch.save(weights, folder / "final_model.pt")


def write_tokenizer(folder, tokenizer):
    """A byte-level tokenizer, whose end of text has the id 0, as the released files: the end of text comes last."""
    content = json.loads(tokenizer.to_str())["model"]
    ids = {token: number - 1 for token, number in content["vocab"].items() if number}
    (folder / "encoder.json").write_text(json.dumps({**ids, "<|endoftext|>": len(ids)}))
    lines = [" ".join(pair) for pair in content["merges"]]
    (folder / "vocab.bpe").write_text("\n".join(["#version: 0.2", *lines]) + "\n")
