"""Dollars in arguments of containers, which Kubernetes expands: what is written reads back equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.export.read_back import expanded

from adaptwin.export.container import kubernetes_words


@pytest.mark.parametrize(
    ("word", "written"),
    [("$HOME", "$HOME"), ("$(HOME)", "$$(HOME)"), ("a$$b", "a$$$b"), ("$$(a)", "$$$$(a)"), ("a$", "a$"), ("$$", "$$$")],
)
def test_dollars_that_kubernetes_would_read_are_doubled(word, written):
    assert kubernetes_words([word]) == [written]
    assert expanded(written) == word


@given(st.text("$(a)"))
def test_any_word_reads_back(word):
    assert [*map(expanded, kubernetes_words([word]))] == [word]
