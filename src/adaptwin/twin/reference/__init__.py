"""The twin's readable specification: vLLM's V1 engine with LoRA, one step at a time."""
