"""The tests of this folder run with an older vLLM in front of the newest one: see `make test-live`."""

from tests.vllm.conftest import pytest_terminal_summary, summary

__all__ = ["pytest_terminal_summary", "summary"]
