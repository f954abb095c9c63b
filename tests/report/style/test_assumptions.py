"""What figures assume and where they are extrapolated, as sentences."""

from adaptwin.report.style.assumptions import assumed_sentence, extrapolated_sentence
from adaptwin.twin.extrapolation import Extrapolation

PROMPTS = [
    Extrapolation(subject="mean prompt", value=value, unit=" tokens", measured="224") for value in (12_900, 13_100)
]
RANK = Extrapolation(subject="rank", value=512, measured="up to 32")
FACT = Extrapolation(subject="profile mine was not compared with real runs")


def test_assumptions_are_one_sentence():
    assert assumed_sentence(("lengths fixed", "no hits")) == "Assumes: lengths fixed; no hits."
    assert assumed_sentence(()) == ""


def test_what_was_measured_stands_beside_what_is_extrapolated():
    assert extrapolated_sentence([RANK, FACT]) == (
        "Extrapolated, without an interval for real GPUs: rank 512 (measured: up to 32); profile mine was not compared "
        "with real runs."
    )


def test_one_quantity_of_several_servers_is_a_range():
    assert extrapolated_sentence([PROMPTS[1], RANK, PROMPTS[0], RANK], " on gpu-1") == (
        "Extrapolated on gpu-1, without an interval for real GPUs: mean prompt 12,900 to 13,100 tokens "
        "(measured: 224); rank 512 (measured: up to 32)."
    )


def test_where_nothing_is_extrapolated_nothing_is_said():
    assert extrapolated_sentence([]) == ""
