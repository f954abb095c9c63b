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
    assert extrapolated_sentence({"gpu-0": [RANK, FACT]}) == (
        "Extrapolated, without an interval for real GPUs: rank 512 (measured: up to 32); profile mine was not compared "
        "with real runs."
    )


def test_one_quantity_of_several_servers_is_a_range():
    assert extrapolated_sentence({"gpu-0": [PROMPTS[1], RANK], "gpu-1": [PROMPTS[0], RANK]}) == (
        "Extrapolated, without an interval for real GPUs: mean prompt 12,900 to 13,100 tokens (measured: 224); rank "
        "512 (measured: up to 32)."
    )


def test_servers_are_named_where_not_all_differ():
    assert extrapolated_sentence({"gpu-0": [RANK], "gpu-1": [RANK, FACT], "gpu-2": []}) == (
        "Extrapolated, without an interval for real GPUs: rank 512 (measured: up to 32) on gpu-0, gpu-1; profile mine "
        "was not compared with real runs on gpu-1."
    )
    many = {f"gpu-{number}": [RANK] * (number < 25) for number in range(40)}
    assert extrapolated_sentence(many).endswith("rank 512 (measured: up to 32) on 25 of 40 GPUs.")


def test_where_nothing_is_extrapolated_nothing_is_said():
    assert extrapolated_sentence({"gpu-0": [], "gpu-1": ()}) == ""
