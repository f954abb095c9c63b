from tests.report.reading import rendered

from adaptwin.report.plan.sentences import made_how, rejected_sentence, uncertainty_sentence
from adaptwin.report.plan.table import plan_table


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
