"""Wild arguments for fuzz tests: values that are valid, extreme, or of another type than a field has."""

import math
from typing import Any

from hypothesis import strategies as st

INTEGERS = (-1, 0, 1, 2, 15, 31, 255, 10**4, 10**5, 10**6, 10**9, 2**31, 2**53, 2**63, 2**64, 10**400)
FLOATS = (-1.0, -0.0, 1e-300, 1e-9, 0.5, 1e4, 1e10, 1e300, math.inf, -math.inf, math.nan)
WILD = st.sampled_from((*INTEGERS, *FLOATS, "", "poisson", "x" * 300, None, True, [], [1], {}))
PROMPTS, ANSWERS = st.sampled_from([1, 20, 3000, 10**7]), st.sampled_from([1, 2, 90, 10**7])
PAIRS = st.lists(st.tuples(st.integers(1, 900), st.integers(1, 90)), min_size=1)
LENGTHS = st.one_of(
    st.just("sharegpt"),
    st.builds(lambda prompt, answer: {"fixed": [prompt, answer]}, PROMPTS, ANSWERS),
    st.builds(
        lambda prompt, answer, cv: {
            "lognormal": {"input_mean": prompt, "input_cv": cv, "output_mean": answer, "output_cv": cv}
        },
        st.floats(1, 2000),
        st.floats(1, 200),
        st.floats(0, 3),
    ),
    st.builds(lambda pairs: {"empirical": pairs}, PAIRS),
)
ARRIVALS = st.one_of(
    st.just("poisson"),
    st.builds("gamma:cv={}".format, st.sampled_from([0.01, 0.3, 1, 4, 100])),
    st.builds("regimes:period={},factor={}".format, st.sampled_from([1, 300, 1e8]), st.sampled_from([0.01, 1, 3, 100])),
    st.lists(st.floats(0, 500), max_size=30).map(sorted),
)


Place = tuple[dict[str, Any], str]  # a mapping, and the key of one of its values


def places_of_profile(profile: dict[str, Any]) -> list[Place]:
    """Return the places of all constants of a profile in its file form."""
    costs = ("memory", "step_cost", "load_cost", "scheduler_cost", "scrape_cost", "model")
    return [
        *((profile[part], name) for part in costs for name in profile[part]),
        *((profile, name) for name in ("request_latency", "price_per_hour")),
    ]


@st.composite
def spoilt(draw, places: list[Place]) -> None:
    """Replace up to two of the values by wild ones."""
    for values, name in draw(st.lists(st.sampled_from(places), max_size=2)):
        values[name] = draw(WILD)
