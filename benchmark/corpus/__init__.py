"""The corpus: documents from named sources, one tokenizer, three disjoint splits and windows of tokens.

A public name is imported when it is first used: settings and versions of a corpus need no numpy and no tokenizer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
