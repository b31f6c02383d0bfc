"""Ablations done directly on a TransformerLens model: by its own hook points, weights and cached norm factors.

Nothing here uses virtual weights or hooks for edges: what a source brings is taken out of the row that a target reads.
"""

import torch

HOOKS = {"q": "attn.hook_q", "k": "attn.hook_k", "v": "attn.hook_v", "neuron": "mlp.hook_post"}
"""Hook points of TransformerLens by the hook of a site."""


def split(site):
    """Number of the block, and hook, of a site."""
    _, layer, hook = site.split(".")
    return int(layer), hook


def ablated_node_logits(model, tokens, site, edit):
    """Logits with the values of a site, `[batch, position, node]`, replaced."""
    layer, hook = split(site)
    block = model.blocks[layer]

    def attention(module, inputs, named):
        position, read = named["query_input"] - named["value_input"], edit(named["value_input"])
        return inputs, {**named, "query_input": read + position, "key_input": read + position, "value_input": read}

    if hook == "attn_in":
        handle = block.attn.register_forward_pre_hook(attention, with_kwargs=True)
    elif hook == "mlp_in":
        handle = block.mlp.register_forward_pre_hook(lambda module, inputs: (edit(inputs[0]),))
    else:
        point = model.hook_dict[f"blocks.{layer}.{HOOKS.get(hook, f'hook_{hook}')}"]
        handle = point.register_forward_hook(lambda module, inputs, out: edit(out.flatten(2)).view_as(out))
    try:
        return model(tokens)
    finally:
        handle.remove()


class EdgeReference:
    """Logits of a model with one edge ablated: it carries its source's mean over all tokens."""

    def __init__(self, model, tokens):
        self.model, self.tokens, self.cfg = model, tokens, model.cfg
        self.cache = model.run_with_cache(tokens)[1]

    def unit(self, source, target, source_node, target_node):
        """Logits without what a unit, or all embeddings, bring to another beyond their mean, norm factors frozen."""
        brought = self._brought(source, source_node)
        if target == "logits":
            last = f"blocks.{self.cfg.n_layers - 1}.hook_resid_post"
            norm = "ln_final" if self.cfg.normalization_type else None
            logits = self.model.unembed(self._normalised(norm, self.cache[last] - brought))
            cap = self.cfg.output_logits_soft_cap
            return cap * torch.tanh(logits / cap) if cap > 0 else logits
        layer, hook = split(target)
        norm = f"blocks.{layer}.ln{1 + (hook == 'neuron')}"
        before = self.cfg.normalization_type and self.cfg.original_architecture != "Olmo2ForCausalLM"
        mid = hook == "neuron" and not self.cfg.parallel_attn_mlp
        stream = self.cache[f"blocks.{layer}.hook_resid_{'mid' if mid else 'pre'}"]
        return self._reading(layer, hook, target_node, self._normalised(norm if before else None, stream - brought))

    def channel(self, source, target, source_node, target_node):
        """Logits without what a node brings to another one of its sublayer beyond its mean."""
        layer, hook = split(target)
        block = self.model.blocks[layer]
        if hook in ("attn_out", "mlp_out"):
            part = block.attn if hook == "attn_out" else block.mlp
            columns = [values[..., None] * weight for values, weight in self._writes(source, source_node)]
            brought = sum(self._away(column[..., target_node]) for column in columns)
            handle = part.register_forward_hook(lambda module, inputs, out: self._less(out, target_node, brought))
        else:
            read = self._read(layer, hook).clone()
            read[..., source_node] = read[..., source_node].mean()
            return self._reading(layer, hook, target_node, read)
        try:
            return self.model(self.tokens)
        finally:
            handle.remove()

    def _away(self, values):
        return values - values.mean((0, 1), keepdim=True)

    def _less(self, values, node, brought):
        values = values.clone()
        values[..., node] -= brought
        return values

    def _writes(self, source, node):
        """The values that a unit contributes to the output of its sublayer, each with the vector that it writes."""
        layer, hook = split(source)
        block = self.model.blocks[layer]
        if hook == "neuron":
            return [(self.cache[f"{source[:-6]}mlp.hook_post"][..., node], block.mlp.W_out[node])]
        head, channel = divmod(node, self.cfg.d_head)
        mixed = self.cache[f"blocks.{layer}.attn.hook_z"]
        sharing = self.cfg.n_heads // self.cache[f"blocks.{layer}.attn.hook_v"].shape[2]
        heads = range(head * sharing, (head + 1) * sharing)
        return [(mixed[:, :, each, channel], block.attn.W_O[each, channel]) for each in heads]

    def _brought(self, source, node):
        """What a source adds to the stream beyond its mean."""
        if source == "embed":
            return self._away(self.model.embed(self.tokens))
        layer, hook = split(source)
        number = 1 if hook == "v" else 2
        after = f"blocks.{layer}.ln{number}"
        if self.cfg.use_normalization_before_and_after:
            after += "_post"
        elif self.cfg.original_architecture != "Olmo2ForCausalLM":
            return sum(self._away(values)[..., None] * weight for values, weight in self._writes(source, node))
        scale, gain = self.cache[f"{after}.hook_scale"], self.model.get_submodule(after).w
        return sum(
            self._away(values[..., None] / scale) * weight * gain for values, weight in self._writes(source, node)
        )

    def _normalised(self, norm, stream):
        """A stream through a norm with the factor that it has when nothing is ablated."""
        if norm is None:
            return stream
        module = self.model.get_submodule(norm)
        if type(module).__name__.startswith("LayerNorm"):
            stream = stream - stream.mean(-1, keepdim=True)
        return stream / self.cache[f"{norm}.hook_scale"] * getattr(module, "w", 1) + getattr(module, "b", 0)

    def _read(self, layer, hook):
        """What q, k, v or the neurons of a block read."""
        seen = []
        block = self.model.blocks[layer]
        part = block.mlp if hook == "neuron" else block.attn
        handle = part.register_forward_pre_hook(
            lambda module, inputs, named: seen.append(named["value_input"] if named else inputs[0]), with_kwargs=True
        )
        try:
            self.model(self.tokens)
        finally:
            handle.remove()
        return seen[0]

    def _reading(self, layer, hook, node, read):
        """Logits where one of q, k, v or the neurons of a block reads something else."""
        at, block = f"blocks.{layer}.", self.model.blocks[layer]
        if hook == "neuron":
            gated = self.cfg.gated_mlp
            weights = {"hook_pre": block.mlp.W_gate if gated else block.mlp.W_in}
            weights |= {"hook_pre_linear": block.mlp.W_in} if gated else {}
            hooks = {
                f"{at}mlp.{point}": read @ weight[:, node] + (0 if gated else block.mlp.b_in[node])
                for point, weight in weights.items()
            }
        else:
            if self.cfg.positional_embedding_type == "shortformer" and hook != "v":
                read = read + self.model.pos_embed(self.tokens)
            head, channel = divmod(node, self.cfg.d_head)
            letter = hook.upper()
            shared = self.cache[f"{at}attn.hook_{hook}"].shape[2] != self.cfg.n_heads
            prefix = "_" if shared else ""
            weight = getattr(block.attn, f"{prefix}W_{letter}")[head, :, channel]
            hooks = {f"{at}{HOOKS[hook]}": read @ weight + getattr(block.attn, f"{prefix}b_{letter}")[head, channel]}

        def replaced(values, hook):
            changed = values.flatten(2).clone()
            changed[..., node] = hooks[hook.name]
            return changed.view_as(values)

        return self.model.run_with_hooks(self.tokens, fwd_hooks=[(name, replaced) for name in hooks])
