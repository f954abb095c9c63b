"""The API under requests made from its own description: no answer is an error of the server, and no job ends so."""

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
)
from tests.web.program import App

from adaptwin.web.app import web_app
from adaptwin.web.settings import WebSettings


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = App(tmp_path_factory.mktemp("fuzzed") / "jobs.db", "--workers", "2", "--most-seconds", "20")
    yield app
    app.stop()


NOT_ASKED_FOR = [
    positive_data_acceptance,  # a body of the right form may ask for what cannot be, as a model that has no profile
    negative_data_rejection,  # 0 is taken for false, as in a fleet file
    allow_header_conformance,  # the header has the methods of one of the routes of a path, as Starlette does it
]
api = schemathesis.openapi.from_dict(web_app(WebSettings(Path(":memory:"))).openapi())


@api.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case, app):
    case.call_and_validate(base_url=app.url, timeout=60, excluded_checks=NOT_ASKED_FOR)


def test_no_job_ended_by_a_fault(app):
    """Runs after the others, on what they asked for."""
    jobs = app.call("/v1/plans?most=100")
    assert jobs
    assert [job["failure"] for job in jobs if job["failure"] and job["failure"]["kind"] == "fault"] == []
