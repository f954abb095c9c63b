"""Quick settings: the numbers of requests and tokens in a step with which a server has the lowest latency.

With fewer tokens in a step, prompts take more steps, and the answers that share these steps wait less between tokens;
the first token comes later. With fewer requests in a step, steps are shorter, and requests wait longer to be admitted.
Which numbers are best depends on the adapters of the server, so that they are chosen once these are known.
"""

from collections.abc import Mapping

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.latency_score import latency_score
from adaptwin.placement.capacity.planner_settings import budget_choices, fewer_seats, with_budgets
from adaptwin.placement.caution import SLOT_LIKELIHOOD, SLOT_STRESS_FACTOR
from adaptwin.plan.options import LatencyKind
from adaptwin.twin.server import Server

SETTINGS_COMPARED = 3  # settings, the best by the surrogate, that the twin compares with those of the search
LEAST_SCORE_GAIN = 0.1  # share by which other settings must lower the latency to be preferred


def quick_settings(
    capacity: Capacity, shares: Mapping[str, float], server: Server, given: Server, latency: LatencyKind
) -> Server:
    """Return the settings with which a server that serves these adapters has the lowest latency.

    The slots stay. Settings are compared by `latency_score`, and others than those of the server must lower it by a
    tenth to be preferred. They must serve the traffic, and slightly more of it if the server does.

    Args:
        capacity: Answers about servers with these adapters.
        shares: The adapters, with their shares of traffic.
        server: Settings with which the server serves them.
        given: Settings that are not the planner's to choose.
        latency: The latency to lower.
    """
    others_to_ask = _best_predicted(capacity, shares, _settings_to_try(capacity, server, given), server, latency)
    if not others_to_ask:
        return server
    now = capacity.ask_on(shares, server)
    is_roomy = now.ok and capacity.ask_on(shares, server, SLOT_STRESS_FACTOR).ok
    best, least = server, (1.0 - LEAST_SCORE_GAIN) * latency_score(now, latency)
    for other in others_to_ask:
        answer = capacity.ask_on(shares, other)
        is_lower = answer.ok and latency_score(answer, latency) < least
        if is_lower and (not is_roomy or capacity.ask_on(shares, other, SLOT_STRESS_FACTOR).ok):
            best, least = other, latency_score(answer, latency)
    return best


def _settings_to_try(capacity: Capacity, server: Server, given: Server) -> list[Server]:
    """Return the settings to choose from, without those of the server."""
    profile = capacity.profile
    usual_seqs = given.budgets(profile)[1]
    now_tokens, now_seqs = server.budgets(profile)
    found = []
    for seqs in dict.fromkeys((now_seqs, usual_seqs, *fewer_seats(given, profile))):
        for tokens in budget_choices(given, profile):
            if tokens < seqs or (tokens, seqs) == (now_tokens, now_seqs):
                continue
            found.append(with_budgets(server, given, profile, seqs=seqs, tokens=tokens))
    return [other for other in found if other.starts_on(profile)]


def _best_predicted(
    capacity: Capacity, shares: Mapping[str, float], choices: list[Server], server: Server, latency: LatencyKind
) -> list[Server]:
    """Return the settings on which to run the twin: the best ones by the surrogate.

    If it does not know them, these are all that admit as many requests.
    """
    if not choices:
        return []
    predictions = capacity.predict_on(shares, [server, *choices], SLOT_STRESS_FACTOR * capacity.factor)
    if not predictions or not all(each.inside for each in predictions):
        return [other for other in choices if other.budgets(capacity.profile)[1] == server.budgets(capacity.profile)[1]]
    now, *others = predictions
    safe = max(SLOT_LIKELIHOOD, 2.0 * now.overload)
    likely = [
        (score, index)
        for index, prediction in enumerate(others)
        if prediction.overload <= safe and (score := latency_score(prediction, latency)) < latency_score(now, latency)
    ]
    return [choices[index] for _, index in sorted(likely)[:SETTINGS_COMPARED]]
