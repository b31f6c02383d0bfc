"""Seeds derived from what they are used for."""

import hashlib
import json

LARGEST_SEED = 2**31 - 1
"""The largest seed that a user may choose."""


def seed_of(*parts: str | int) -> int:
    """A seed that depends on all of the parts and on nothing else."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:6])
