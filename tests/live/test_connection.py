"""Connections: addresses of servers, and what is said of one that cannot be reached."""

import asyncio
import errno
import os
import resource
import socket
import ssl

import pytest

from adaptwin import SpecError
from adaptwin.errors import ServerError
from adaptwin.live.connection import (
    api_key_of_environment,
    message_of,
    said_as_server_error,
    server_url,
    server_urls,
    session_with,
)
from adaptwin.live.vllm_server import VllmServer


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000"),
        ("https://llm.example.com/pool/v1", "https://llm.example.com/pool"),
        ("localhost:8000", "http://localhost:8000"),
        ("10.0.0.1", "http://10.0.0.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("HTTP://Host:80", "http://Host:80"),
    ],
)
def test_addresses_have_one_form(text, url):
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "ftp://localhost",
        "file:///etc/passwd",
        "http://localhost:port",
        "http://localhost:0",
        "http://localhost:99999",
        "http://[::1",
        "http://localhost:8000?model=x",
        "http://localhost:8000/#top",
        "http://local host:8000",
        "http://local\x1b[31mhost",
        "a=http://localhost:8000",
        "a=localhost:8000",
    ],
)
def test_what_is_no_address_is_wrong_input(text):
    with pytest.raises(SpecError, match="no address of a server, such as http://localhost:8000") as caught:
        server_url(text)
    assert caught.value.field == "url"
    assert "\x1b" not in str(caught.value)


def test_a_password_in_an_address_is_not_shown():
    with pytest.raises(SpecError, match="needs no user in its address: give a key with --api-key") as caught:
        server_url("http://user:secret@host:8000")
    assert "secret" not in str(caught.value)


def test_two_servers_have_two_addresses():
    assert server_urls(["a:1", "a:2"]) == ["http://a:1", "http://a:2"]
    with pytest.raises(SpecError, match="http://a:1 is given twice"):
        server_urls(["http://a:1", "b:2", "a:1/v1"])


def test_the_key_of_vllm_comes_first(monkeypatch):
    for name in ("VLLM_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert api_key_of_environment() is None
    monkeypatch.setenv("OPENAI_API_KEY", "of openai")
    assert api_key_of_environment() == "of openai"
    monkeypatch.setenv("VLLM_API_KEY", "of vllm")
    assert api_key_of_environment() == "of vllm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"error": {"message": "too long", "code": 400}}', "too long"),
        ('{"error": "Unauthorized"}', "Unauthorized"),
        ('{"detail": "Not Found"}', "{'detail': 'Not Found'}"),
        ('{"object": "error", "message": "as vLLM 0.8"}', "as vLLM 0.8"),
        ("<html>\n <b>502</b>\n</html>", "<html> <b>502</b> </html>"),
        ("", "nothing"),
        ("null", "None"),
        ('{"error": {"message": "\\u001b[31mred\\u0007"}}', r"\x1b[31mred\x07"),
        ("x" * 5000, "x" * 300),
        ("[" * 100_000, "[" * 300),
    ],
)
def test_what_a_server_says_is_one_readable_line(text, message):
    assert message_of(text) == message


def said_of(error):
    with pytest.raises(ServerError) as caught, said_as_server_error("http://x", 3.0):
        raise error
    assert caught.value.exit_code == 4
    return caught.value.message


def test_errors_of_connections_are_said_in_words():
    aiohttp = pytest.importorskip("aiohttp")
    to_port = OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 8000)")
    two = OSError(f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] Connect call failed, [Errno 99] no address")
    full = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    distrusted = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate (_ssl.c:1)")
    distrusted.verify_message = "self-signed certificate"
    assert said_of(TimeoutError()) == "no answer within 3 s"
    assert said_of(aiohttp.ClientConnectorError(None, to_port)) == "cannot be reached: no route to host"
    assert said_of(aiohttp.ClientConnectorError(None, two)) == "cannot be reached: connection refused"
    assert "ulimit -n" in said_of(aiohttp.ClientConnectorError(None, full))
    assert said_of(aiohttp.ClientConnectorError(None, socket.gaierror(-2, "unknown"))) == "no such host"
    assert said_of(UnicodeError("label empty or too long")) == "no such host"
    assert (
        said_of(aiohttp.ClientConnectorCertificateError(None, distrusted))
        == "no secure connection: self-signed certificate"
    )
    assert said_of(aiohttp.ServerDisconnectedError()) == "closed the connection without an answer"
    assert said_of(aiohttp.ClientPayloadError("not\ncompleted")) == "the connection broke in the middle of the answer"
    assert said_of(ConnectionResetError("Cannot write\nto closing transport")) == (
        "the connection broke: Cannot write to closing transport"
    )


def asked(url, what="models", api_key=None):
    async def ask():
        async with session_with(api_key) as session:
            return await getattr(VllmServer(url, session, 20.0), what)()

    return asyncio.run(ask())


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def test_a_port_without_a_server_refuses():
    pytest.importorskip("aiohttp")
    with pytest.raises(ServerError, match="cannot be reached: connection refused"):
        asked(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example"])
def test_a_name_that_cannot_be_one_is_no_host(host):
    pytest.importorskip("aiohttp")
    with pytest.raises(ServerError, match="no such host"):
        asked(server_url(host))


def test_https_to_a_server_without_it_is_said(serve):
    with pytest.raises(ServerError, match="no secure connection: "):
        asked(serve().url.replace("http:", "https:"))


@pytest.mark.parametrize("key", ["with\nbreak", "schlüssel", "\x00"])
def test_a_key_that_cannot_be_sent_is_wrong_input(key):
    pytest.importorskip("aiohttp")
    with pytest.raises(SpecError, match="api_key: the API key has a line break") as caught:
        asked("http://127.0.0.1:1", api_key=key)
    assert key not in str(caught.value)


def test_a_session_may_have_as_many_connections_as_the_system_allows(serve):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        asked(serve().url)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
