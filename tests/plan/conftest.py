"""The hand-made plan of the tests of the report, for tests of plans."""

from collections.abc import Callable

import pytest
from tests.report.conftest import make_plan

from adaptwin.plan.plan import Plan


@pytest.fixture(name="make_plan", scope="session")
def make_plan_fixture() -> Callable[..., Plan]:
    """Return the function that makes such plans."""
    return make_plan
