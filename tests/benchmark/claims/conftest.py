"""Claims are tested on random models and on planted ones, which lie beside other tests."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
sys.path += [str(TESTS / "baselines"), str(TESTS / "golden")]
