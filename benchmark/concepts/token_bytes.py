"""The bytes of the text that each token of a tokenizer stands for."""

import json
import re

from tokenizers import Tokenizer

SPACE = "▁"
"""How SentencePiece writes a space."""

BYTE = re.compile("<0x([0-9A-F]{2})>")
"""How SentencePiece writes a byte that is not part of any of its tokens."""


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of every token of a vocabulary; empty for special tokens and for ids that are not text.

    Vocabularies are byte-level (GPT-2), or those of SentencePiece, with `▁` for a space and `<0x0A>` for a byte.
    """
    added = tokenizer.get_added_tokens_decoder()
    spelled = _of_sentence_piece if _is_sentence_piece(tokenizer) else _of_byte_level
    found = [b""] * (max(tokenizer.get_vocab().values()) + 1)
    for token, number in tokenizer.get_vocab().items():
        if number not in added:
            found[number] = spelled(token)
        elif not added[number].special:
            found[number] = token.encode()
    return found


def puts_a_space_first(tokenizer: Tokenizer) -> bool:
    """Whether the first token of a text has a space that is not in the text, as SentencePiece writes it."""
    first = tokenizer.encode("a", add_special_tokens=False).tokens[:1]
    return bool(first) and first[0].startswith(SPACE)


def _is_sentence_piece(tokenizer: Tokenizer) -> bool:
    decoder = json.dumps(json.loads(tokenizer.to_str())["decoder"], ensure_ascii=False)
    return "Metaspace" in decoder or "ByteFallback" in decoder or SPACE in decoder


def _of_sentence_piece(token: str) -> bytes:
    byte = BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode()


def _alphabet() -> dict[str, int]:
    """The byte that each character of a byte-level token stands for."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}


ALPHABET = _alphabet()


def _of_byte_level(token: str) -> bytes:
    return bytes(ALPHABET[character] for character in token) if all(map(ALPHABET.__contains__, token)) else b""
