"""A server rejects a request for max_num_queued_reqs where vLLM 0.32.0 does."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.vllm.workloads import random_case
from vllm.exceptions import QueueOverflowError
from vllm.v1.engine.async_llm import AsyncLLM

from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.workload.drawing.requests import Requests


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
    scenario = random_case(0).scenario
    columns = (np.full(10, value, kind) for value, kind in ((0, np.int64), (0, np.int32), *[(3, np.int32)] * 3))
    limits = scenario.limits._replace(kv_blocks=100, max_num_queued_reqs=most)
    scenario = scenario._replace(requests=Requests(*columns), limits=limits)
    assert np.count_nonzero(~ReferenceTwin(scenario).run().rejected) == front.admitted == most
