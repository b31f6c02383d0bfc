"""The names of the two terminals of the unit graph. Imports no torch."""

EMBEDDING = "embed"
"""The source that stands for the token embeddings."""

LOGITS = "logits"
"""The target that stands for the logits."""

TERMINALS = (EMBEDDING, LOGITS)
"""The terminals of the unit graph: always kept, never counted as nodes."""
