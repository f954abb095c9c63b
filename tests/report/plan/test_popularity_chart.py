from adaptwin.report.plan.popularity_chart import SHOWN_POINTS, popularity_figure


def test_rates_of_zero_do_not_break_the_popularity_curve(make_plan) -> None:
    plan = make_plan(gpus=1, adapters=10)
    idle = tuple(one.model_copy(update={"rate": 0.0}) for one in plan.workload.adapters)
    figure = popularity_figure(
        plan.model_copy(update={"workload": plan.workload.model_copy(update={"adapters": idle})})
    )
    assert sum(len(trace.x) for trace in figure.data) == 0


def test_a_long_popularity_curve_is_thinned_but_keeps_its_head(make_plan) -> None:
    figure = popularity_figure(make_plan(gpus=1, adapters=20_000))
    places = sorted(place for trace in figure.data for place in trace.x)
    assert len(places) <= SHOWN_POINTS
    assert places[:500] == list(range(1, 501))
    assert places[-1] > 19_900
