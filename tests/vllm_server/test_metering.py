"""adaptwin workload from-metrics with a real Prometheus server, which scrapes counters that grow at known rates."""

import socket
import subprocess
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from adaptwin.plan.fleet import Fleet

PROMETHEUS = Path(__file__).resolve().parents[2] / ".prometheus" / "usr" / "bin" / "prometheus"
RATES = {"support": 4.0, "contracts": 1.0}  # requests per second
PROMPT, ANSWER = 120, 40  # tokens of each request
SCRAPED_SECONDS = 40.0

pytestmark = pytest.mark.skipif(not PROMETHEUS.is_file(), reason="make test-live unpacks Prometheus")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Counting(BaseHTTPRequestHandler):
    """LiteLLM's counters, as if requests had come at the given rates since the start."""

    began = time.time()

    def do_GET(self):
        lines = []
        for name, rate in RATES.items():
            count, label = int(rate * (time.time() - self.began)), f'requested_model="{name}"'
            lines.append(f'litellm_proxy_total_requests_metric_total{{{label},status_code="200"}} {count}')
            lines.append(f"litellm_input_tokens_metric_total{{{label}}} {PROMPT * count}")
            lines.append(f"litellm_output_tokens_metric_total{{{label}}} {ANSWER * count}")
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def prometheus(tmp_path):
    """Return the address of a Prometheus server that scrapes the counters every second."""
    router = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    Thread(target=router.serve_forever, daemon=True).start()
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"- {{job_name: litellm, static_configs: [{{targets: ['127.0.0.1:{router.server_port}']}}]}}\n"
    )
    words = [PROMETHEUS, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{url}/-/ready", timeout=1):
                    break
            except OSError:
                time.sleep(0.5)
        time.sleep(SCRAPED_SECONDS)
        yield url
    finally:
        running.terminate()
        running.wait(30)
        router.shutdown()
        router.server_close()


def test_rates_and_lengths_are_those_of_the_counters(prometheus, tmp_path):
    words = ["workload", "from-metrics", prometheus, "--rank", "16", "--since", "30s", "--window", "10s"]
    done = subprocess.run(
        [sys.executable, "-m", "adaptwin", *words, "--out", tmp_path / "fleet.yaml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    fleet = Fleet.read(tmp_path / "fleet.yaml")
    print({adapter.name: round(adapter.rate, 2) for adapter in fleet.adapters}, "planned", RATES)
    for adapter in fleet.adapters:
        assert adapter.rate == pytest.approx(RATES[adapter.name], rel=0.15)
        assert adapter.lengths.input_mean == pytest.approx(PROMPT, rel=0.05)
        assert adapter.lengths.output_mean == pytest.approx(ANSWER, rel=0.05)
    assert {adapter.name for adapter in fleet.adapters} == set(RATES)
