from tests.report.reading import rendered

from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.sentences import (
    made_how,
    plan_extrapolated_sentence,
    rejected_sentence,
    uncertainty_sentence,
)
from adaptwin.report.plan.table import plan_table
from adaptwin.twin.extrapolation import Extrapolation


def test_a_plan_says_how_far_a_real_gpu_may_be_from_the_figures(plan) -> None:
    assert uncertainty_sentence(plan) == ""
    servers = []
    for server, width in zip(plan.servers, (1.02, 1.05, 1.01, 1.03), strict=True):
        forecast = server.forecast
        intervals = {
            "throughput": (forecast.throughput / width, forecast.throughput * width),
            "itl.mean": (forecast.itl_mean / width**2, forecast.itl_mean * width**2),
        }
        servers.append(server.model_copy(update={"forecast": forecast.model_copy(update={"intervals": intervals})}))
    told = uncertainty_sentence(plan.model_copy(update={"servers": tuple(servers)}))
    assert told == (
        "On a real GPU, expect throughput within 5 % and mean ITL within 10 % of these figures, nine times out of ten."
    )


def with_claims(plan, *claims):
    """Return a plan whose servers have intervals of these widths, or differ from the measured ones in a text."""
    servers = []
    for server, claim in zip(plan.servers, claims, strict=True):
        if isinstance(claim, str):
            update = {"extrapolations": (Extrapolation(subject=claim),), "intervals": {}}
        else:
            figure = server.forecast.throughput
            update = {"extrapolations": (), "intervals": {"throughput": (figure / claim, figure * claim)}}
        servers.append(server.model_copy(update={"forecast": server.forecast.model_copy(update=update)}))
    return plan.model_copy(update={"servers": tuple(servers)})


def test_the_figures_of_each_profile_have_their_own_interval(make_plan) -> None:
    plan = make_plan(gpus=4, profiles=2)
    first, second = (profile.name for profile in plan.profiles)
    assert [server.profile for server in plan.servers] == [first, second, first, second]
    told = uncertainty_sentence(with_claims(plan, 1.02, "not compared", 1.05, "not compared"))
    assert told == (
        f"On a real GPU of profile {first}, expect throughput within 5 % of these figures, nine times out of ten."
    )
    assert "not compared" in plan_extrapolated_sentence(with_claims(plan, 1.02, "not compared", 1.05, "not compared"))


def test_gpus_without_an_interval_are_counted_and_named(plan) -> None:
    some = with_claims(plan, 1.02, "rank 512", 1.05, "rank 512")
    assert uncertainty_sentence(some).startswith("On a real GPU (2 of 4), expect throughput within 5 % of")
    assert plan_extrapolated_sentence(some) == (
        "Extrapolated, without an interval for real GPUs: rank 512 on gpu-1, gpu-3."
    )
    none = with_claims(plan, *["rank 512"] * 4)
    assert uncertainty_sentence(none) == ""
    assert plan_extrapolated_sentence(none) == "Extrapolated, without an interval for real GPUs: rank 512."
    assert plan_extrapolated_sentence(with_claims(plan, 1.1, 1.1, 1.1, 1.1)) == ""


def test_latency_limits_are_part_of_how_a_plan_was_made(plan) -> None:
    assert "limited" not in made_how(plan)
    options = plan.options.model_copy(update={"ttft_p99": 2.0, "itl_p99": 0.05})
    limited = plan.model_copy(update={"options": options})
    assert "TTFT p99 limited to 2.0 s, ITL p99 limited to 50 ms" in made_how(limited)
    assert "TTFT p99 limited to 2.0 s" in " ".join(rendered(plan_table(limited)).split())
    assert "TTFT p99 limited to 2.0 s" in plan_report(limited)


def test_a_plan_says_when_requests_are_too_long(plan) -> None:
    assert rejected_sentence(plan) == ""
    first, *others = plan.servers
    forecast = first.forecast.model_copy(update={"rejected": 139})
    long = plan.model_copy(update={"servers": (first.model_copy(update={"forecast": forecast}), *others)})
    assert rejected_sentence(long) == "139 requests in 1.0 h would be rejected: longer than max_model_len."
    assert "139 requests" in rendered(plan_table(long))


def test_a_plan_counts_its_predictions_and_twin_runs(make_plan) -> None:
    plan = make_plan()
    asked = plan.model_copy(update={"predictions": 9_000, "twin_runs": 1})
    assert "with 9,000 surrogate predictions and 1 twin run" in made_how(asked)
    assert "prediction" not in made_how(plan.model_copy(update={"predictions": 0}))
