"""What Prometheus has of several servers, and how it is read."""

import pytest
from tests.live.metrics_pages import metrics_page
from tests.live.metrics_stand_in import prometheus_handlers, serving

from adaptwin.calibration.sources.metrics_page import metric_samples
from adaptwin.live.addresses import addresses_of
from adaptwin.live.prometheus import watched_servers_of
from adaptwin.live.watch import Unreadable, watch


def series(pages_by_time, **labels):
    """Return the series of a matrix, as Prometheus has them after scraping these pages."""
    found = {}
    for time, page in pages_by_time.items():
        for sample in metric_samples(page):
            metric = {"__name__": sample.name, **sample.labels, **labels}
            found.setdefault(tuple(metric.items()), []).append([time, sample.value])
    return [{"metric": dict(metric), "values": values} for metric, values in found.items()]


PAGES = {1000.5: metrics_page(finished=100), 1015.5: metrics_page(finished=130), 1030.5: metrics_page(finished=160)}


def test_servers_are_told_apart_by_instance_and_scrapes_by_their_time():
    result = series(PAGES, instance="b:8000", pod="gpu-1") + series(PAGES, instance="a:8000", pod="gpu-0")
    first, second = watched_servers_of({"data": {"result": result}}, "http://prometheus")
    assert (first.name, second.name, first.server_url) == ("a:8000", "b:8000", "http://a:8000")
    assert [reading.seconds for reading in first.readings] == [0.0, 15.0, 30.0]
    assert first.rate(lambda metrics: metrics.finished) == 2.0
    assert "gpu-0" in first.labels
    assert first.last.running_adapters == ("a", "b")


def test_where_there_is_no_instance_servers_are_told_apart_by_pod():
    [found] = watched_servers_of({"data": {"result": series(PAGES, pod="gpu-0")}}, "http://prometheus")
    assert found.name == "gpu-0"


def test_prometheus_is_recognised_and_asked_for_what_it_has():
    queries = []
    with serving(prometheus_handlers(series(PAGES, instance="a:8000"), queries)) as url:
        [found] = watch(addresses_of([url]), seconds=300)
    assert found.name == "a:8000"
    assert len(queries) == 1
    assert queries[0].endswith("[300s]")


@pytest.mark.parametrize(
    ("handlers", "said"),
    [
        (prometheus_handlers([], []), "Prometheus has no metrics of vLLM of the last 120 s"),
        ({**prometheus_handlers([], []), "/api/v1/query": lambda _: []}, "has no answer in the form of Prometheus"),
        ({"/metrics": lambda _: "up 1\n"}, "/metrics has no metrics of vLLM"),
        ({}, "GET /metrics: the server answered 404"),
    ],
)
def test_what_cannot_be_read_is_said(handlers, said):
    with serving(handlers) as url:
        [found] = watch(addresses_of([url]), readings=2)
    assert isinstance(found, Unreadable)
    assert said in found.error
