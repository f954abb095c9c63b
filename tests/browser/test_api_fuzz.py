"""The API under requests made from its own description: no answer is an error of the server, and no job ends so."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from tests.browser.served import App


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = App(tmp_path_factory.mktemp("fuzzed") / "jobs.db", "--workers", "2", "--most-seconds", "20")
    yield app
    app.stop()


@pytest.fixture(scope="module")
def description(app):
    return schemathesis.openapi.from_url(f"{app.url}/v1/openapi.json")


api = schemathesis.pytest.from_fixture("description")


@api.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case):
    case.call_and_validate(timeout=60)


def test_no_job_ended_by_a_fault(app):
    """Runs after the others, on what they asked for."""
    jobs = app.call("/v1/plans?most=100")
    assert jobs
    assert [job["failure"] for job in jobs if job["failure"] and job["failure"]["kind"] == "fault"] == []
