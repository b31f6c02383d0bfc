"""The public names and where they are; `__init__.py` reads this file to import each on first use."""

from .builder import build as build
from .config import END_OF_TEXT as END_OF_TEXT
from .config import SPLITS as SPLITS
from .config import CorpusConfig as CorpusConfig
from .config import Split as Split
from .given_tokenizer import tokenizer_version as tokenizer_version
from .given_tokenizer import with_tokenizer as with_tokenizer
from .sources import source_version as source_version
from .windows import Corpus as Corpus
