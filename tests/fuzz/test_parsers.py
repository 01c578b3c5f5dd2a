"""Every parser answers damaged files with a result or one sentence; `make fuzz` searches longer."""

from functools import cache
from pathlib import Path

import pytest
from fuzz.parsers import PARSERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Per parser; quick ones, and those that a damaged byte rarely leads beyond the first check.
_EXAMPLES = 40


@cache
def good(name: str) -> bytes:
    return PARSERS[name].good()


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """``content`` with bytes replaced, left out, repeated or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from((0, 1, 2, 4, 8, 64)))
        new = draw(st.one_of(st.binary(max_size=8), st.sampled_from((b"\xff" * 8, b"\x7f\xff"))))
        data[at : at + length] = new if draw(st.booleans()) else bytes(data[at : at + length]) * 2
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@pytest.mark.parametrize("name", PARSERS)
def test_damage_is_answered_in_one_sentence(name: str, tmp_path: Path) -> None:
    parser = PARSERS[name]
    path = tmp_path / parser.file
    parser.write(path)
    parser.read(path)

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=damaged(good(name)))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        fault = parser.fault(path)
        if fault is not None:
            raise fault

    check()
