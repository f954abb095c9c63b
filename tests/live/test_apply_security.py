"""adaptwin apply keeps keys to itself, talks to the given servers only, and runs nothing that files tell it to."""

import asyncio
import re
import shutil
import ssl
import subprocess

import pytest
from tests.live.metrics_stand_in import serving
from tests.live.test_apply import plan_on_two

from adaptwin.errors import ServerError
from adaptwin.live.applying import tries
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.live.connection import session_with
from adaptwin.live.vllm_server import VllmServer

web = pytest.importorskip("aiohttp.web", reason="servers need aiohttp: pip install 'adaptwin[live]'")
KEYS = ("sk-of-gpu-0-7351", "sk-of-gpu-1-8462")
FILES = ("--servers", "servers.yaml", "--routes", "routes.yaml", "--settle", "0.1s")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(tries, "FIRST_PAUSE", 0.02)


@pytest.fixture
def keyed(serve, folder, monkeypatch):
    """Start two servers that ask for keys, one of which is in the environment and one in a file."""

    def start(**faults):
        servers = [serve(tuple("abcd"), api_key=KEYS[0]), serve(tuple("ef"), api_key=KEYS[1], **faults)]
        monkeypatch.setenv("KEY_0", KEYS[0])
        (folder / "key.txt").write_text(f"{KEYS[1]}\n")
        (folder / "servers.yaml").write_text(
            f"gpu-0: {{url: {servers[0].url}, api_key_env: KEY_0}}\n"
            f"gpu-1: {{url: {servers[1].url}, api_key_file: key.txt}}\n"
        )
        plan_on_two("abc", "def").write(folder / "plan.yaml")
        return servers

    return start


def written(folder):
    """Return all that a call has left in its folder, the key's own file left out."""
    return "".join(path.read_text() for path in folder.iterdir() if path.is_file() and path.name != "key.txt")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--json",),
        ("--print-curl",),
        ("--dry-run",),
        ("--on-routes", "sh -c 'echo $KEY_0 >&2; exit 1'"),
        ("--api-key", "sk-usual-9573"),
    ],
)
def test_keys_are_in_no_output_and_no_file(keyed, adaptwin, folder, words):
    keyed()
    done = adaptwin("apply", "plan.yaml", *FILES, *words)
    assert done.code == (4 if "--on-routes" in words else 0), done.err
    for key in (*KEYS, "sk-usual-9573"):
        assert key not in done.out + done.err + written(folder)


def test_litellms_configuration_names_variables_only(serve, adaptwin, folder, monkeypatch):
    servers = [serve(tuple("abc"), api_key=KEYS[0]), serve(tuple("def"), api_key=KEYS[1])]
    lines = [f"gpu-{i}: {{url: {each.url}, api_key_env: KEY_{i}}}\n" for i, each in enumerate(servers)]
    (folder / "servers.yaml").write_text("".join(lines))
    for number, key in enumerate(KEYS):
        monkeypatch.setenv(f"KEY_{number}", key)
    plan_on_two("abc", "def").write(folder / "plan.yaml")
    done = adaptwin("apply", "plan.yaml", *FILES, "--litellm", "litellm.yaml", "--on-routes", "true")
    assert done.code == 0, done.err
    assert "os.environ/KEY_1" in (folder / "litellm.yaml").read_text()
    assert not any(key in done.out + done.err + written(folder) for key in KEYS)


@pytest.mark.parametrize("what", ["models", "load"])
def test_a_key_that_a_server_repeats_in_its_error_is_hidden(keyed, adaptwin, folder, what):
    keyed(fails_first={what: 99}, repeats_key=True)
    done = adaptwin("apply", "plan.yaml", *FILES)
    assert (done.code, "engine is busy (headers: Bearer ***)" in done.err) == (4, True), done.err
    assert not any(key in done.out + done.err + written(folder) for key in KEYS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "key.txt"),
        ("", "key.txt: has no API key in its first line"),
        ("\nsk-1\n", "key.txt: has no API key in its first line"),
        ("sk-\x0112345\n", "gpu-1.api_key_file: the API key has a line break, or a character that HTTP cannot send"),
    ],
)
def test_a_key_file_that_is_missing_or_empty_or_has_odd_characters_is_said_first(keyed, adaptwin, folder, text, says):
    servers = keyed()
    (folder / "key.txt").unlink()
    if text is not None:
        (folder / "key.txt").write_text(text)
    done = adaptwin("apply", "plan.yaml", *FILES)
    assert (done.code, says in done.err, "12345" in done.err) == (1, True, False), done.err
    assert len(done.err.splitlines()) == 1
    assert [each.loads + each.unloads for each in servers] == [[], []]


def test_a_key_of_the_environment_with_a_line_break_names_its_server(keyed, adaptwin, monkeypatch):
    keyed()
    monkeypatch.setenv("KEY_0", "sk-12345\nX-Header: 1")
    done = adaptwin("apply", "plan.yaml", *FILES)
    assert (done.code, "12345" in done.err) == (1, False)
    assert "gpu-0.api_key_env: the API key has a line break" in done.err


@pytest.fixture
def self_signed(tmp_path):
    """Return a context of a server with a certificate that nobody has signed."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", "key.pem", "-out", "cert.pem")
    words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names, *files)
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def test_a_server_whose_certificate_nobody_has_signed_is_refused(self_signed, keyed, adaptwin, folder):
    keyed()
    asked = []
    with serving({"/v1/models": lambda request: asked.append(request) or {}}, ssl_context=self_signed) as url:
        lines = (folder / "servers.yaml").read_text()
        (folder / "servers.yaml").write_text(re.sub(r"(gpu-1: \{url: )[^,]+", rf"\g<1>{url}", lines))
        done = adaptwin("apply", "plan.yaml", *FILES)
    assert done.code == 4
    assert f"{url}: gpu-1: no secure connection: self-signed certificate" in done.err
    assert asked == []


def redirecting(place, kind=web.HTTPTemporaryRedirect):
    def answer(_request):
        raise kind(place)

    return answer


def asked_for_models(url):
    async def ask():
        async with session_with(KEYS[0]) as session:
            return await VllmServer(url, session).models()

    return asyncio.run(ask())


MODELS = {"data": [{"id": "llama", "root": "llama", "parent": None}]}


@pytest.mark.parametrize("kind", [web.HTTPFound, web.HTTPMovedPermanently, web.HTTPTemporaryRedirect])
def test_a_redirect_to_another_server_is_not_followed(kind):
    seen = []
    target = {"/v1/models": lambda request: seen.append(request) or MODELS}
    said = r"GET /v1/models: the server answered 30[127] and points to"
    with serving(target) as other:
        moved = {"/v1/models": redirecting(f"{other}/v1/models?q={KEYS[0]}", kind)}
        with serving(moved) as url, pytest.raises(ServerError, match=said) as caught:
            asked_for_models(url)
    assert f"{other}/v1/models, which is not followed" in str(caught.value)
    assert KEYS[0] not in str(caught.value)
    assert seen == []


def test_a_redirect_within_a_server_is_followed_with_its_key():
    seen = []
    moved = {"/v1/models": redirecting("/other"), "/other": lambda request: seen.append(request.headers) or MODELS}
    with serving(moved) as url:
        assert asked_for_models(url).base.name == "llama"
    assert seen[0]["Authorization"] == f"Bearer {KEYS[0]}"


def test_a_load_that_is_redirected_is_no_load(serve):
    server = serve(())

    async def load():
        async with session_with(None) as session:
            await VllmServer(server.url, session).load_adapter("d", "/adapters/d")

    server.redirects_loads = True
    with pytest.raises(ServerError, match="POST /v1/load_lora_adapter: the server answered 302 and points to /version"):
        asyncio.run(load())


@pytest.mark.parametrize("name", ["routes.yaml", "plan.yaml"])
def test_files_run_nothing(keyed, adaptwin, folder, name):
    servers = keyed()
    (folder / name).write_text("routes: !!python/object/apply:os.system ['touch pwned']\nsettled: true\n")
    done = adaptwin("apply", "plan.yaml", *FILES)
    assert (done.code, name in done.err, len(done.err.splitlines())) == (1, True, 1), done.err
    assert not (folder / "pwned").exists()
    assert [each.loads + each.unloads for each in servers] == [[], []]


def test_the_key_of_one_server_is_not_sent_to_another(keyed, adaptwin, folder):
    servers = keyed()
    assert adaptwin("apply", "plan.yaml", *FILES).code == 0
    assert [each.keys for each in servers] == [{f"Bearer {key}"} for key in KEYS]
    assert RoutesFile.read(folder / "routes.yaml").settled
