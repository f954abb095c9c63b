"""The twin's readable specification: vLLM's V1 engine with LoRA adapters, one step at a time, without optimisation.

Read `scheduler.py` first, side by side with vllm/v1/core/sched/scheduler.py. Continue with the classes that it uses, in
`request.py`, `kv_cache.py` and `batch.py`. Then read `engine.py`, the loop around the scheduler, with
`adapter_slots.py` (vllm/lora/worker_manager.py) and `api_server.py`. `ledger.py` counts what happens and decides
nothing.

Each count has one owner: `KVCache` owns the blocks, `AdapterSlots` the adapters in memory, `Scheduler` the queues, and
`ReferenceTwin` the clock. The compiled kernel (`adaptwin.twin.kernel`) gives the same outcome, bit for bit.
"""
