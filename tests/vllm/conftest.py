"""vLLM is imported once, here: quietly, without network access, and without the warnings of its dependencies."""

import logging
import os
import warnings

import pytest

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", VLLM_NO_USAGE_STATS="1")
logging.getLogger("vllm").setLevel(logging.CRITICAL)  # vLLM logs advice on every configuration

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import vllm.lora.worker_manager
        import vllm.v1.core.sched.async_scheduler  # noqa: F401
except ModuleNotFoundError as missing:
    raise pytest.UsageError(f"{missing}: these tests need vLLM, `make test-live` sets it up") from None

_SUMMARY = pytest.StashKey[dict[str, dict[str, int]]]()


@pytest.fixture
def summary(pytestconfig) -> dict[str, dict[str, int]]:
    """Counts of what was compared, by the name of vLLM's class; printed at the end."""
    return pytestconfig.stash.setdefault(_SUMMARY, {})


def pytest_terminal_summary(terminalreporter, config):
    for name, counts in config.stash.get(_SUMMARY, {}).items():
        terminalreporter.section(f"the twin against vLLM's {name}")
        for what, count in counts.items():
            terminalreporter.line(f"{count:>9,} {what}")
