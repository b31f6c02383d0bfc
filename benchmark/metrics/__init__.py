"""The metrics: pure functions of arrays, torch or numpy, that return a float, `nan` if the score is undefined.

A function's module, and with it torch, is imported on first use. transformer_lens and sae_lens are never imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
