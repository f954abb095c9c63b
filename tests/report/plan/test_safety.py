"""Whether a plan is safe at a glance: headroom and waits that are not good are never shown as good."""

import pytest

from adaptwin.report.plan.safety import headroom_tone, safety, ttft_tone


def with_forecast(plan, **update):
    """Return the plan with some figures changed on its first server, and good ones on the others."""
    first, *others = plan.servers
    good = {"headroom": 0.3, "ttft_p99": 0.5}
    changed = [
        server.model_copy(update={"forecast": server.forecast.model_copy(update=figures)})
        for server, figures in [(first, {**good, **update}), *((other, good) for other in others)]
    ]
    return plan.model_copy(update={"servers": tuple(changed), "verified": True})


def test_a_verified_plan_with_headroom_is_safe(plan):
    safe = safety(with_forecast(plan))
    assert (safe.answer, safe.tone) == ("yes", "good")
    assert safe.reasons == ("verified by the twin; lowest headroom 30 % on gpu-0",)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"headroom": 0.01}, "headroom of only 1 % on gpu-0"),
        ({"ttft_p99": 8.9}, "TTFT p99 of 8.9 s on gpu-0"),
    ],
)
def test_little_headroom_and_long_waits_need_care(plan, update, reason):
    safe = safety(with_forecast(plan, **update))
    assert (safe.answer, safe.tone, safe.reasons) == ("with care", "warn", (reason,))


def test_a_plan_that_is_not_verified_is_not_safe(plan):
    safe = safety(with_forecast(plan).model_copy(update={"verified": False}))
    assert (safe.answer, safe.tone) == ("no", "bad")


def test_figures_of_a_profile_that_nobody_measured_need_care(plan):
    (profile,) = plan.profiles
    guessed = with_forecast(plan).model_copy(update={"profiles": (profile.model_copy(update={"measured": None}),)})
    safe = safety(guessed)
    assert safe.tone == "warn"
    assert "was not measured on a real server" in safe.reasons[0]


@pytest.mark.parametrize(
    ("headroom", "tone"), [(0.3, "good"), (0.05, "good"), (0.049, "warn"), (0.001, "warn"), (0.0, "bad")]
)
def test_headroom_below_five_per_cent_is_not_good(plan, headroom, tone):
    assert headroom_tone(with_forecast(plan, headroom=headroom).servers[0].forecast) == tone


@pytest.mark.parametrize(("seconds", "tone"), [(0.4, "good"), (2.0, "good"), (2.1, "warn"), (600.0, "warn")])
def test_a_ttft_above_two_seconds_is_not_good(plan, seconds, tone):
    assert ttft_tone(with_forecast(plan, ttft_p99=seconds).servers[0].forecast) == tone
