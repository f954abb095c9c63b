import math

import pytest

from adaptwin.report.style.words import duration, number, percent, share_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.0004, "0.4 ms"),
        (0.0042, "4.2 ms"),
        (0.012, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1.44, "1.4 s"),
        (9.96, "10 s"),
        (59.9, "60 s"),
        (59.96, "1.0 min"),
        (126.0, "2.1 min"),
        (7200.0, "2.0 h"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_latencies_are_written_with_the_usual_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0417, "0.042"),
        (1.25, "1.25"),
        (9.996, "10.0"),
        (12.36, "12.4"),
        (99.96, "100"),
        (5210.4, "5,210"),
    ],
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_share_is_written_in_percent() -> None:
    assert percent(0.137) == "14 %"
    assert percent(math.nan) == "–"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (7e-8, "0 %"),
        (0.00833, "0.83 %"),
        (0.145, "14 %"),
        (0.5, "50 %"),
        (0.97, "97.0 %"),
        (0.999357, "99.936 %"),
        (1.0, "100 %"),
        (1.4, "140 %"),
        (math.nan, "–"),
    ],
)
def test_a_share_near_0_or_100_percent_is_not_rounded_to_it(share: float, text: str) -> None:
    assert share_text(share) == text
