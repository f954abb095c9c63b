"""ClientTurns go round addresses, and in each of them round its visitors; a new name is no advantage."""

from adaptwin.web.job import Waiting, WebClient
from adaptwin.web.turns import ClientTurns


def jobs(*clients):
    return [Waiting(f"job-{place}", client, 100.0 + place) for place, client in enumerate(clients)]


def served(turns, waiting):
    """Return the visitors in the order in which all jobs are done."""
    seen, now = [], 1000.0
    while waiting:
        job = turns.order(waiting)[0]
        turns.took(job.client, now)
        waiting.remove(job)
        seen.append(job.client.visitor)
        now += 1.0
    return seen


def test_one_visitor_with_many_jobs_does_not_keep_the_others_waiting():
    ann, bob = WebClient("10.0.0.1", "ann"), WebClient("10.0.0.1", "bob")
    assert served(ClientTurns(), jobs(ann, ann, ann, bob)) == ["ann", "bob", "ann", "ann"]


def test_many_visitors_of_one_address_do_not_keep_another_address_waiting():
    crowd = [WebClient("10.0.0.1", f"crowd-{place}") for place in range(4)]
    assert served(ClientTurns(), jobs(*crowd, WebClient("10.0.0.2", "ann")))[:2] == ["crowd-0", "ann"]


def test_a_new_name_does_not_go_before_one_that_has_waited_longer():
    turns, ann = ClientTurns(), WebClient("10.0.0.1", "ann")
    turns.took(ann, 50.0)
    fresh = [WebClient("10.0.0.1", f"fresh-{place}") for place in range(3)]
    assert served(turns, jobs(ann, *fresh))[0] == "ann"


def test_what_is_known_of_visitors_does_not_grow_without_end():
    turns = ClientTurns()
    for place in range(5000):
        turns.took(WebClient("10.0.0.1", str(place)), float(place))
    assert len(turns._last) <= 1000
