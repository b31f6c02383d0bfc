"""Circuits and trained artifacts in the formats of other tools.

A public name is imported when it is first used, so importing the package imports neither torch nor networkx.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
