"""What training a transformer takes, in closed form: the numbers that `bench plan` prints. Imports no torch.

Each formula counts what one function of this package does, and its test compares it with a measurement of that
function. Saved tensors are counted as PyTorch saves them on a CPU; other kernels, as fused norms on a GPU, save less.
"""

from benchmark.resources import NUMBER, ModelSize, Resources, Shapes, Training
from sparse_model.config import SPARSE_HOOKS, ArchitectureConfig, CorpusModelConfig, TransformerConfig

LOGITS_AT_ONCE = 2**19
"""Number of logits that exist at one time: that of `sparse_model.loss`, which imports torch."""

CURVE_POINTS = 200
"""Number of points of the training curve: that of `sparse_model.training`, which imports torch."""

MOMENTS = 2
"""Numbers per parameter that Adam keeps."""

PROJECTION = 2.5
"""Copies of a matrix that its projection makes: the magnitudes, the kept weights, and two masks of bytes."""

POINT_BYTES, TENSOR_BYTES, JSON_BYTES = 70, 90, 1_300
"""Bytes in files of a point of the curve, of a tensor's header, and of settings and facts."""


def resources(config: CorpusModelConfig, shapes: Shapes) -> Resources:
    """What a transformer that is trained on the corpus takes: the `resources` of a `Method`."""
    shape = config.transformer(shapes.vocabulary, shapes.context)
    return Resources(training(config, shape), {"native": model_size(shape)})


def resources_untrained(config: CorpusModelConfig, shapes: Shapes) -> Resources:
    """What a transformer takes whose weights are drawn and never trained."""
    shape = config.transformer(shapes.vocabulary, shapes.context)
    drawn = Training(
        parameters=parameters(shape),
        memory_bytes=NUMBER * parameters(shape) + validation_bytes(shape),
        store_bytes=store_bytes(shape, points=0),
        flops=validation_flops(config, shape),
    )
    return Resources(drawn, {"native": model_size(shape)})


def training(config: CorpusModelConfig, shape: TransformerConfig) -> Training:
    """What a whole training run takes."""
    steps, positions = config.steps(shape.context), config.batch * shape.context
    return Training(
        parameters=parameters(shape),
        activation_bytes=NUMBER * kept_by_forward(config, shape),
        optimizer_bytes=NUMBER * MOMENTS * parameters(shape),
        memory_bytes=training_bytes(config, shape),
        store_bytes=store_bytes(shape, min(steps, CURVE_POINTS)),
        flops=3 * forward_flops(shape) * steps * positions + validation_flops(config, shape),
        tokens=steps * positions,
    )


def model_size(shape: TransformerConfig) -> ModelSize:
    """How large a transformer is where circuits are discovered in it."""
    block = 2 * shape.d_read + 5 * shape.d_model + shape.neurons
    return ModelSize(
        parameters=parameters(shape),
        sites=shape.layers * block,
        site_count=8 * shape.layers,
        units=shape.layers * (3 * shape.d_model + shape.neurons),
        meaningful=shape.layers * block,
        held=held_by_forward(shape),
        largest=largest_tensor(shape),
        connections=unit_connections(shape.layers, 3 * shape.d_model, shape.d_model, shape.neurons, shape.neurons),
        terminals=terminal_weights(shape, 3 * shape.d_model + shape.neurons, shape.d_model + shape.neurons),
        flops=forward_flops(shape),
    )


# Parameters and files


def block_weights(shape: ArchitectureConfig) -> int:
    """Entries of the matrices of all blocks."""
    reads = 3 * shape.d_model + shape.neurons
    return shape.layers * (reads * shape.d_read + (shape.d_model + shape.neurons) * shape.d_model)


def vectors(shape: ArchitectureConfig) -> int:
    """Entries of all biases, gains and sinks."""
    biases, gains = 5 * shape.d_model + shape.neurons, 2 * shape.d_read
    return shape.layers * (biases + gains + shape.sink * shape.heads) + shape.d_model


def embeddings(shape: TransformerConfig) -> int:
    """Entries of the embedding, the unembedding and the position embeddings."""
    width = {"none": 0, "learned": shape.d_model, "concatenated": shape.d_positional}[shape.positional]
    return 2 * shape.vocabulary * shape.d_model + shape.context * width


def bigram_table(shape: TransformerConfig) -> int:
    """Entries of the bigram table."""
    return shape.vocabulary**2 if shape.bigram else 0


def parameters(shape: TransformerConfig) -> int:
    """Number of parameters, the bigram table included."""
    return block_weights(shape) + vectors(shape) + embeddings(shape) + bigram_table(shape)


def largest_tensor(shape: TransformerConfig) -> int:
    """Entries of the largest tensor."""
    return max(bigram_table(shape), shape.neurons * shape.d_read, shape.vocabulary * shape.d_model)


def store_bytes(shape: TransformerConfig, points: int) -> int:
    """Bytes of the files of a trained transformer, whose training curve has that many points."""
    tensors = 4 + (14 + shape.sink + 2 * (shape.positional == "concatenated")) * shape.layers
    return NUMBER * parameters(shape) + TENSOR_BYTES * tensors + POINT_BYTES * points + JSON_BYTES


def unit_connections(layers: int, queries: int, values: int, reading: int, writing: int) -> int:
    """Entries of the virtual weights between the units of all blocks, from earlier to later ones.

    Args:
        layers: Number of blocks.
        queries: Units of a block that read the stream before its attention: queries, keys and values.
        values: Units of a block that its attention writes.
        reading: Units of a block that read the stream before its MLP.
        writing: Units of a block that its MLP writes.
    """
    pairs = layers * (layers - 1) // 2
    return pairs * (values + writing) * (queries + reading) + layers * values * reading


def terminal_weights(shape: TransformerConfig, reading: int, writing: int) -> int:
    """Entries of the weights from the embeddings to the units of all blocks, and from those to the logits."""
    return shape.layers * (reading * (1 + shape.d_model) + writing * (1 + shape.vocabulary))


# Operations


def forward_flops(shape: TransformerConfig) -> int:
    """Operations per position of a forward pass, logits included; attention to all positions of the context."""
    return blocks_flops(shape) + 2 * shape.vocabulary * shape.d_model


def blocks_flops(shape: TransformerConfig) -> int:
    """Operations per position of all blocks; as usual attention is counted in full, though half of it is masked."""
    return 2 * block_weights(shape) + 4 * shape.layers * shape.context * shape.d_model


def validation_flops(config: CorpusModelConfig, shape: TransformerConfig) -> int:
    """Operations of the final loss, if the validation split has as many windows as it may take."""
    return config.validation_windows * shape.context * forward_flops(shape)


# Memory


def training_bytes(config: CorpusModelConfig, shape: TransformerConfig) -> int:
    """The most bytes that tensors take during training.

    It is reached at the logits, in the last MLP's backward pass, or in the projection of the largest matrix, which
    comes with all gradients. The other gradients are smaller than the activations that they replace.
    """
    positions, width = config.batch * shape.context, shape.d_model
    logits = shape.vocabulary * min(positions, max(1, LOGITS_AT_ONCE // shape.vocabulary))
    of_head = shape.vocabulary * width + bigram_table(shape)
    whole = positions * shape.vocabulary // logits  # pieces of the batch
    head = positions * width + max(2 * logits + of_head * (whole > 1), logits + of_head + shape.vocabulary * width)
    backward = of_head + positions * (width + _number_size(config) * shape.neurons)
    largest = max(shape.neurons * shape.d_read, shape.vocabulary * width)
    projection = parameters(shape) + PROJECTION * largest * (config.density < 1 or config.embedding_density < 1)
    at_once = max(kept_by_forward(config, shape) + max(head, backward), projection)
    return round(NUMBER * ((1 + MOMENTS) * parameters(shape) + at_once))


def kept_by_forward(config: CorpusModelConfig, shape: TransformerConfig) -> int:
    """Numbers (of four bytes) that the forward pass of one batch keeps for its backward pass.

    A block keeps the normalised stream, the input of its products, queries, keys, values and what attention mixes, the
    neurons before and after their activation function, the stream after each sublayer, and AbsTopK's mask of bytes.
    """
    positions = config.batch * shape.context
    per_position = shape.d_model + shape.layers * _kept_by_block(config, shape) + 2 * shape.d_model + 1
    per_window_position = shape.layers * 2 * (shape.d_positional + 1) * (shape.positional == "concatenated")
    rounded = _casts(config) * (block_weights(shape) + shape.layers * (5 * shape.d_model + shape.neurons)) // 2
    return round(positions * per_position + shape.context * per_window_position + rounded)


def _kept_by_block(config: CorpusModelConfig, shape: TransformerConfig) -> float:
    """Numbers per position that one block keeps."""
    width, neurons, size = shape.d_model, shape.neurons, _number_size(config)
    attention = 2 * width + 1 + _attention(config, shape) + (3 if _casts(config) else 1) * size * shape.d_read
    mlp = 2 * width + 1 + 2 * size * neurons + size * shape.d_read
    return attention + mlp + _masks(shape) / NUMBER


def _attention(config: CorpusModelConfig, shape: TransformerConfig) -> float:
    """Numbers per position of queries, keys, values and what they mix to, and the logarithms of attention's sums."""
    width, heads, size = shape.d_model, shape.heads, _number_size(config)
    if not shape.sink:
        return 4 * size * width + heads
    longer = (shape.context + 1) / shape.context  # the sink is a position and a channel of its own
    return size * (4 * longer * (width + heads) + width) + longer * heads


def _masks(shape: TransformerConfig) -> int:
    """Entries per position of the sites of a block at which AbsTopK is applied; none if it keeps all of them."""
    if shape.activation_density == 1:
        return 0
    sizes = {"attn_in": shape.d_read, "mlp_in": shape.d_read, "neuron": shape.neurons}
    return sum(sizes.get(hook, shape.d_model) for hook in SPARSE_HOOKS if hook in shape.activation_sites)


def held_by_forward(shape: TransformerConfig) -> int:
    """Numbers per position that a forward pass without gradients holds: the stream, and neurons before and after."""
    selects = shape.activation_density < 1 and "neuron" in shape.activation_sites
    return 4 * shape.d_model + round((3.25 if selects else 2) * shape.neurons)


def validation_bytes(shape: TransformerConfig, windows: int = 16) -> int:
    """Bytes of activations in a pass without gradients over some windows, a piece of the logits at a time."""
    positions = windows * shape.context
    logits = shape.vocabulary * min(positions, max(1, LOGITS_AT_ONCE // shape.vocabulary))
    blocks = positions * held_by_forward(shape)
    return NUMBER * max(blocks, positions * 2 * shape.d_model + 2 * logits)


def _casts(config: CorpusModelConfig) -> bool:
    """Whether products are computed in bfloat16, of which weights and inputs are copies."""
    return config.precision == "bfloat16"


def _number_size(config: CorpusModelConfig) -> float:
    """Size of the numbers that products work on, in numbers of four bytes."""
    return 0.5 if _casts(config) else 1.0
