"""The benchmark: everything that measures, and nothing that depends on a particular method.

A public name is imported when it is first used, so importing the package does not import torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
