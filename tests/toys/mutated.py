"""Hypothesis strategies that damage files: bytes, text, and values inside JSON."""

import copy
import json

from hypothesis import strategies as st

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**50), 10**50),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([[], {}, "", -1, 0, 10**9, 2**63, "../../x", "a\0b", "\x1b[31m", "\ud800", [[[[]]]], 1e308]),
)

PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"\0", b"\xff\xfe", b"NaN", b"1e999", b"[" * 2000, b"{", b'"', b"\n", b",", b"9" * 5000, b"-", b"\xed\xa0\x80"]
    ),
)


@st.composite
def damaged(draw, content, most=4):
    """Bytes in which some pieces are cut out, replaced or put in, or of which the end is missing."""
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(content)))
        until = min(len(content), at + draw(st.sampled_from([0, 0, 1, 1, 4, 100])))
        content = content[:at] + draw(PIECES) + content[until:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 9)) == 0 else content


def places(content, place=()):
    """The path to every value of JSON."""
    yield place
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, inside in items:
        yield from places(inside, (*place, key))


@st.composite
def altered(draw, content, most=3):
    """The text of JSON in which some values are strange, missing, or under another name."""
    content = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(1, most))):
        *path, last = draw(st.sampled_from([place for place in places(content) if place] or [(None,)]))
        if last is None:
            return json.dumps(draw(STRANGE)).encode()
        inside = content
        for key in path:
            inside = inside[key]
        how = draw(st.integers(0, 5))
        value = inside.pop(last) if how in (0, 1) and isinstance(inside, dict) else None
        if how == 1 and isinstance(inside, dict):
            inside[draw(st.text(max_size=5))] = value
        elif how > 1:
            inside[last] = copy.deepcopy(draw(STRANGE))  # what is put into it must not change the next draw
    return json.dumps(content).encode()
