"""What is written comes out as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core.cluster.expansion import expanded, literal

TEXT = st.text(st.sampled_from("$()Ax é\n"), max_size=12)


@given(TEXT)
def test_a_literal_comes_out_as_it_went_in(text: str) -> None:
    assert expanded(literal(text), {"A": "1", "x": "2", "": "3"}) == text


@given(TEXT)
def test_no_dollar_stands_before_what_is_not_ascii(text: str) -> None:
    assert "$é" not in literal(text).replace("$$", "")


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("$(A)", "1"),
        ("x$(A)$(A)y", "x11y"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(B)"),
        ("$(A", "$(A"),
        ("$A $", "$A $"),
    ],
)
def test_a_reference_becomes_its_value(text: str, gives: str) -> None:
    assert expanded(text, {"A": "1"}) == gives
