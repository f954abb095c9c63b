"""Conversations of a synthetic fleet: each turn sends all that was said before."""

import numpy as np
import pytest

from adaptwin import Lengths, SpecError, Template
from adaptwin.workload.sources.synthetic import synthesize
from adaptwin.workload.sources.turns import MOST_CONTEXT, ConversationTurns
from adaptwin.workload.templates import parse_template

FLEET = {"adapters": 6, "rate": 3.0, "ranks": (8,), "lengths": Lengths.fixed(100, 40), "duration": 3000.0}


def test_a_turn_begins_with_the_prompt_and_the_answer_before_it():
    workload = synthesize(**FLEET, turns=ConversationTurns(5.0, 20.0), seed=3)
    for adapter in workload.adapters:
        pairs = adapter.lengths.pairs
        assert list(adapter.arrivals) == sorted(adapter.arrivals)
        for (source, tokens), (prompt, answer) in zip(adapter.prefixes, pairs, strict=True):
            assert answer == 40
            if source >= 0:
                assert tokens == sum(pairs[source]) == prompt - 100
            assert prompt + answer <= MOST_CONTEXT


def test_conversations_have_the_rate_the_turns_and_the_time_between_them():
    workload = synthesize(**{**FLEET, "duration": 20_000.0}, turns=ConversationTurns(4.0, 30.0))
    assert workload.rate == pytest.approx(3.0, rel=0.05)
    gaps = [
        adapter.arrivals[place] - adapter.arrivals[source]
        for adapter in workload.adapters
        for place, (source, _) in enumerate(adapter.prefixes)
        if source >= 0
    ]
    assert np.mean(gaps) == pytest.approx(30.0, rel=0.05)
    requests = sum(len(adapter.arrivals) for adapter in workload.adapters)
    assert len(gaps) / requests == pytest.approx(1 - 1 / 4, abs=0.02)


def test_long_conversations_begin_anew_and_keep_the_rate():
    fleet = {**FLEET, "lengths": Lengths.fixed(800, 200), "duration": 20_000.0}
    workload = synthesize(**fleet, turns=ConversationTurns(100.0, 30.0))
    assert workload.rate == pytest.approx(3.0, rel=0.05)
    assert max(sum(pair) for adapter in workload.adapters for pair in adapter.lengths.pairs) == 32_000


def test_conversations_are_drawn_from_the_seed():
    one, again, other = (synthesize(**FLEET, turns=ConversationTurns(5.0, 20.0), seed=seed) for seed in (3, 3, 4))
    assert one == again != other


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"turns": ConversationTurns(0.5, 20.0)}, "turns: 0.5 must be from 1 to 100"),
        ({"turns": ConversationTurns(1e9, 20.0)}, r"turns: 1e\+09 must be from 1 to 100"),
        ({"turns": ConversationTurns(5.0, 1e6)}, "are too many"),
        ({"turns": ConversationTurns(2.0, 0.0)}, "think: 0 seconds must be above 0"),
        ({"turns": ConversationTurns(2.0, 9.0), "templates": (Template(tokens=9),)}, "conversations have no templates"),
        ({"turns": ConversationTurns(2.0, 9.0), "rate": 1e5}, "are too many"),
    ],
)
def test_conversations_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        synthesize(**{**FLEET, **fields})


def test_templates_of_the_command_line():
    assert parse_template("500") == Template(tokens=500)
    assert parse_template("500:0.8") == Template(tokens=500, share=0.8)
    assert parse_template("500:80%") == Template(tokens=500, share=0.8)
    for text in ("", "x", "5:x", "0", "5:2", "5:nan", "5:0", "-5", "5:200%"):
        with pytest.raises(SpecError, match="system_prompt: "):
            parse_template(text)
