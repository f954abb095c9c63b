"""One vLLM server with many adapters, simulated."""
