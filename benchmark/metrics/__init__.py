"""The metrics: pure functions on arrays, torch or numpy, that return a float, `nan` where the score is undefined.

A function's module, and with it torch, is imported when the function is first used. Neither transformer_lens nor
sae_lens is ever imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
