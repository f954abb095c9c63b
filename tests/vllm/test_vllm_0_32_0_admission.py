"""A server rejects a request for max_num_queued_reqs where vLLM 0.32.0 does."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.twin.scenarios import by_hand
from vllm.exceptions import QueueOverflowError
from vllm.v1.engine.async_llm import AsyncLLM

from adaptwin.twin.reference.engine import ReferenceTwin


@pytest.mark.parametrize("most", [0, 1, 3, 7])
def test_as_many_requests_are_admitted_at_once_as_by_vllm(most):
    """Ten requests arrive together, before any of them can finish."""
    front = SimpleNamespace(
        scheduler_config=SimpleNamespace(max_num_queued_reqs=most, max_num_queued_tokens=None),
        admission_stats=None,
        admitted=0,
        logger_manager=None,
    )
    front.get_num_unfinished_requests = lambda: front.admitted
    front._record_admission_rejection = str
    for _ in range(10):
        try:
            AsyncLLM.check_admission(front)
        except QueueOverflowError:
            continue
        front.admitted += 1
    scenario = by_hand([(0, 0, 10, 3)] * 10, max_num_queued_reqs=most)
    assert np.count_nonzero(~ReferenceTwin(scenario).run().rejected) == front.admitted == most
