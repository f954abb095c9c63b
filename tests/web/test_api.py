"""The API: plans from asking to download, limits, tokens, and the headers that keep a browser safe."""

import base64
import hashlib
import json
import socket
import sqlite3
import time

import pytest

from adaptwin.web.report_policy import policy_of_report

ASKED = {"fleet": "quick", "profile": "h100-64gb-llama-3.1-8b-instruct"}


def ended(server, plan_id):
    """Return a plan once it has ended."""
    deadline = time.monotonic() + 60
    while (job := server.call(f"/v1/plans/{plan_id}").json())["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job


def test_a_plan_is_asked_for_followed_and_downloaded(serve):
    server = serve()
    reply = server.call("/v1/plans", ASKED)
    assert reply.status == 202
    plan_id = reply.json()["id"]
    lines = server.call(f"/v1/plans/{plan_id}/events").body.decode().split("\n\n")
    jobs = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert jobs[-1]["state"] == "done"
    assert jobs[-1]["summary"]["gpus"] == 1
    assert server.call(f"/v1/plans/{plan_id}/plan.yaml").body == b"plan: yes\n"
    page = server.call(f"/v1/plans/{plan_id}/report")
    assert page.body == b"<p>page</p>"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert server.call("/v1/plans").json()[0]["id"] == plan_id
    assert server.call(f"/v1/plans/{plan_id}", method="DELETE").status == 200
    assert server.call(f"/v1/plans/{plan_id}").status == 404


def test_a_plan_is_cancelled(serve):
    server = serve()
    plan_id = server.call("/v1/plans", {**ASKED, "fleet": "sleep 1000"}).json()["id"]
    assert server.call(f"/v1/plans/{plan_id}", method="DELETE").status == 409
    assert server.call(f"/v1/plans/{plan_id}/cancel", {}).json()["state"] == "cancelled"
    assert server.call(f"/v1/plans/{plan_id}/again", {"factor": 2.0}).status == 409
    assert server.call(f"/v1/plans/{plan_id}/report").status == 404


def test_the_same_fleet_is_planned_again_for_more_traffic(serve):
    server = serve()
    plan_id = server.call("/v1/plans", {**ASKED, "traffic": 1.5}).json()["id"]
    reply = server.call(f"/v1/plans/{plan_id}/again", {"factor": 2.0}).json()
    again = reply["id"]
    assert again != plan_id
    assert (reply["title"], reply["traffic"]) == ("adapters × 3", 3.0)
    assert ended(server, again)["state"] == "done"
    for factor in (0, 1e-300, 99):
        assert server.call(f"/v1/plans/{plan_id}/again", {"factor": factor}).status == 422


def test_a_failure_names_the_field(serve):
    server = serve()
    job = ended(server, server.call("/v1/plans", {**ASKED, "fleet": "fail"}).json()["id"])
    assert job["failure"] == {"field": "adapters[0].rank", "message": "is wrong", "kind": "input"}


def test_when_too_many_wait_the_next_one_is_refused(serve):
    server = serve(most_queued=2)
    replies = [server.call("/v1/plans", {**ASKED, "fleet": "sleep 1000"}) for _ in range(5)]
    assert [reply.status for reply in replies][-1] == 429
    assert "too many plans wait" in replies[-1].json()["detail"]
    assert replies[-1].headers["retry-after"] == "30"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/plans", {}, 422),
        ("/v1/plans", {"fleet": ""}, 422),
        ("/v1/plans", {**ASKED, "planning": {"headroom": -1}}, 422),
        ("/v1/plans", {**ASKED, "unknown": 1}, 422),
        ("/v1/plans", {**ASKED, "seed": True}, 422),
        ("/v1/plans", {**ASKED, "planning": {"spare": True}}, 422),
        ("/v1/plans", b"{", 422),
        ("/v1/plans/none", None, 404),
        ("/v1/plans/none/events", None, 404),
        ("/v1/plans/none/report", None, 404),
        ("/v1/plans/none/exports/vllm", None, 404),
        ("/v1/simulations", {"profile": "none"}, 422),
        ("/pages/..%2Fapp.py", None, 404),
        ("/pages/index.html", None, 404),
    ],
)
def test_what_is_wrong_is_an_error_of_the_client(serve, path, body, status):
    assert serve().call(path, body).status == status


def test_one_server_is_simulated(serve):
    answer = serve().call("/v1/simulations", {"profile": "h100-64gb-llama-3.1-8b-instruct", "rate": 1.0}).json()
    assert answer["starts"]
    assert answer["verdict"] == "ok"


def test_choices_and_operations(serve):
    server = serve()
    assert {each["name"] for each in server.call("/v1/profiles").json()} >= {"h100-64gb-llama-3.1-8b-instruct"}
    assert server.call("/v1/models").json()
    assert {"min-gpus", "slo"} <= set(server.call("/v1/objectives").json())
    assert "kserve" in server.call("/v1/stacks").json()
    assert server.call("/healthz").json() == {"status": "ok"}
    assert 'adaptwin_plans{state="done"} 0' in server.call("/metrics").body.decode()


def test_with_a_token_only_health_and_the_page_that_asks_for_it_answer_without_it(serve):
    server = serve(token="secret")
    for path in ("/healthz", "/sign-in", "/pages/app.css"):
        assert server.call(path).status == 200
    for path in ("/", "/v1/plans", "/metrics", "/v1/openapi.json"):
        assert server.call(path).status == 401
        assert server.call(path, headers={"Authorization": "Bearer wrong"}).status == 401
        assert server.call(path, headers={"Authorization": "Bearer secret"}).status == 200
        assert server.call(path, headers={"Cookie": "token=secret"}).status == 200


def test_a_browser_is_asked_for_the_token_and_keeps_it_as_a_cookie(serve):
    server = serve(token="secret")
    assert b"Token of this server" in server.call("/plans/any", headers={"Accept": "text/html,*/*"}).body
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    wrong = server.call("/sign-in", b"token=wrong", headers=form, follow=False)
    assert (wrong.status, wrong.headers["location"]) == (303, "/sign-in#wrong")
    assert "set-cookie" not in wrong.headers
    right = server.call("/sign-in", b"token=secret", headers=form, follow=False)
    assert (right.status, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    assert server.call("/", headers={"Cookie": cookie.partition(";")[0]}).status == 200


def test_pages_of_other_sites_cannot_ask(serve):
    server = serve()
    assert server.call("/v1/plans", ASKED, headers={"Origin": "https://evil.example"}).status == 403
    assert server.call("/v1/plans", ASKED, headers={"Origin": "null"}).status == 403
    assert server.call("/v1/plans", ASKED, headers={"Origin": server.url}).status == 202


def test_a_server_of_one_machine_is_not_taken_for_another_one(serve):
    """A name of another site that leads to this machine, as in DNS rebinding."""
    server = serve(hosts=("127.0.0.1", "::1"))
    assert server.call("/").status == 200
    assert server.call("/", headers={"Host": "[::1]:8765"}).status == 200
    assert server.call("/", headers={"Host": "evil.example"}).status == 403


def test_a_report_runs_no_scripts_but_its_own():
    page = '<html><script>alert("not ours")</script><script>\nown()\n</script>'
    policy = policy_of_report(page)
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]
    for script, allowed in (("\nown()\n", True), ('alert("not ours")', False)):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert (digest in policy) == allowed


def test_one_visitor_cannot_fill_the_queue(serve):
    server = serve(most_queued_of_client=2)
    own, other = {"X-Adaptwin-Client": "ann"}, {"X-Adaptwin-Client": "bob"}
    replies = [server.call("/v1/plans", {**ASKED, "fleet": "sleep 1000"}, headers=own) for _ in range(5)]
    assert replies[-1].status == 429
    assert server.call("/v1/plans", {**ASKED, "fleet": "sleep 1000"}, headers=other).status == 202


@pytest.mark.parametrize(
    "body",
    [
        b'{"fleet": "a", "profile": "x", "traffic": NaN}',
        b'{"fleet": "a", "profile": "x", "traffic": 1e999}',
        rb'{"fleet": "\ud800", "profile": "x"}',
        rb'{"fleet": "a", "\ud800": 1}',
        b"\xff\xfe",
    ],
)
def test_values_that_are_no_json_or_no_text_are_refused(serve, body):
    reply = serve().call("/v1/plans", body)
    assert reply.status in (400, 422)
    assert reply.json()["detail"]


@pytest.mark.parametrize(
    "fields",
    [
        {"fleet": [[0]] * 50_000},
        {f"unknown-{place}": 1 for place in range(10_000)},
        {"planning": {"constraints": {"apart": [[f"adapter-{place}" for place in range(20_000)]]}}},
    ],
)
def test_all_but_the_text_of_a_fleet_must_be_small(serve, fields):
    assert serve().call("/v1/plans", {**ASKED, **fields}).status == 413


def test_large_fleets_are_taken(serve):
    assert serve().call("/v1/plans", {**ASKED, "fleet": "quick " * 200_000}).status == 202


def test_options_that_are_given_are_kept_although_they_are_the_defaults(serve):
    server = serve()
    plan_id = server.call("/v1/plans", {**ASKED, "planning": {"headroom": 0, "spare": 0}}).json()["id"]
    assert server.services.store.request(plan_id)["planning"] == {"headroom": 0.0, "spare": 0}
    assert server.call(f"/v1/plans/{plan_id}").json()["asked"]["headroom"] == 0.0


def test_a_body_that_is_longer_than_it_says_is_too_large(serve):
    server = serve(most_bytes=1000)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = (
            "POST /v1/plans HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
        )
        connection.sendall(head.encode() + b"800\r\n" + b" " * 0x800 + b"\r\n0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_store_that_cannot_be_read_is_said(serve, monkeypatch):
    server = serve()

    def broken(*_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(server.services.store, "_read", broken)
    reply = server.call("/v1/plans")
    assert reply.status == 503
    assert "disk I/O error" in reply.json()["detail"]


def test_health_says_when_no_plans_are_made(serve, monkeypatch):
    server = serve()
    assert server.call("/healthz").status == 200
    monkeypatch.setattr(type(server.services.queue), "is_working", False)
    assert server.call("/healthz").status == 503


def test_large_requests_are_refused_whatever_length_they_state(serve):
    server = serve(most_bytes=1000)
    assert server.call("/v1/plans", {**ASKED, "fleet": "x" * 2000}).status == 413
    assert server.call("/v1/plans", ASKED).status == 202


@pytest.mark.parametrize("path", ["/", "/server", "/compare", "/plans/any", "/pages/app.css", "/v1/plans"])
def test_every_answer_is_safe_for_a_browser(serve, path):
    reply = serve().call(path)
    assert reply.status == 200
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert b"http://" not in reply.body
    assert b"https://" not in reply.body
