"""Which adapters wait, and for how long."""

from tests.live.metrics_pages import metrics_page, watched_by

from adaptwin.live.waiting_adapters import waiting_adapters


def watched(*waiting_of_each, busy=("a",)):
    return watched_by([metrics_page(deferred=len(names), waiting=names, busy=busy) for names in waiting_of_each])


def test_an_adapter_waits_from_the_first_to_the_last_reading_in_a_row():
    [adapter] = waiting_adapters(watched("", "e", "e", "e", "", "e"))
    assert (adapter.name, adapter.readings, adapter.in_a_row, adapter.still_waits) == ("e", 4, 2.0, True)


def test_the_step_in_which_a_request_arrives_does_not_count():
    assert waiting_adapters(watched("", "e", "", "", "f", "", "", "")) == ()


def test_an_adapter_of_which_requests_run_does_not_wait():
    assert waiting_adapters(watched("a", "a", "a", "a")) == ()


def test_the_longest_wait_comes_first():
    found = waiting_adapters(watched("e", "ef", "f", "f", "f"))
    assert [adapter.name for adapter in found] == ["f", "e"]
