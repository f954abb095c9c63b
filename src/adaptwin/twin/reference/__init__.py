"""The twin's readable specification: vLLM's V1 engine with LoRA, one step at a time, without tricks.

Read `scheduler.py` first, next to vllm/v1/core/sched/scheduler.py; then what it works with, `request.py`, `kv_cache.py`
and `batch.py`; then `engine.py`, the loop around it, with `adapter_slots.py` (vllm/lora/worker_manager.py) and
`api_server.py`. `ledger.py` counts what happened and decides nothing. Each count has one owner: blocks belong to
`KVCache`, adapters in memory to `AdapterSlots`, queues to `Scheduler`, the clock to `ReferenceTwin`. The compiled
kernel does the same to the last digit.
"""
