"""The twin: a simulation of one vLLM server with many adapters."""
