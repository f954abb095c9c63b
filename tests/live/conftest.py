"""vLLM is imported once, here: quietly, without a network, and without its dependencies' warnings."""

import os
import warnings

import pytest

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="CRITICAL")

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import vllm.lora.worker_manager
        import vllm.v1.core.sched.async_scheduler  # noqa: F401
except ModuleNotFoundError as missing:
    raise pytest.UsageError(f"{missing}: these tests need vLLM, `make test-live` sets it up") from None
