"""A scheduler: first come, first served; running requests first; a limited number of adapters at a time."""

from types import SimpleNamespace


class Scheduler:
    def __init__(self, max_num_seqs, max_num_batched_tokens, max_loras):
        self.max_num_running_reqs, self.max_num_scheduled_tokens = max_num_seqs, max_num_batched_tokens
        self.max_loras = max_loras
        self.scheduler_config = SimpleNamespace(
            max_num_seqs=max_num_seqs, max_num_batched_tokens=max_num_batched_tokens, async_scheduling=True
        )
        self.waiting, self.running = [], []
        self.kv_cache_manager = SimpleNamespace(get_computed_blocks=lambda _: ([], 0))

    def add(self, name, prompt, answer, adapter):
        request = SimpleNamespace(request_id=name, prompt=prompt, answer=answer, computed=0, tokens=prompt)
        request.adapter, request.lora = adapter, adapter.lora_int_id if adapter else 0
        self.waiting.append(request)

    def drop(self, names):
        names = set(names)
        self.waiting = [request for request in self.waiting if request.request_id not in names]
        self.running = [request for request in self.running if request.request_id not in names]

    def has_requests(self):
        return bool(self.waiting or self.running)

    def schedule(self):
        budget, scheduled, old, new = self.max_num_scheduled_tokens, {}, [], []
        for request in self.running:
            if taken := min(request.tokens - request.computed, budget):
                scheduled[request.request_id] = taken
                budget -= taken
                old.append(request)
        for request in [*self.waiting]:
            if not budget or len(self.running) >= self.max_num_running_reqs:
                break
            used = {each.lora for each in self.running} - {0}
            if request.lora and request.lora not in used and len(used) >= self.max_loras:
                continue
            _, request.computed = self.kv_cache_manager.get_computed_blocks(request)
            self.waiting.remove(request)
            self.running.append(request)
            scheduled[request.request_id] = taken = min(request.tokens - request.computed, budget)
            budget -= taken
            new.append(SimpleNamespace(req_id=request.request_id, num_computed_tokens=request.computed))
        cached = SimpleNamespace(
            req_ids=[request.request_id for request in old], num_computed_tokens=[request.computed for request in old]
        )
        return SimpleNamespace(
            num_scheduled_tokens=scheduled,
            total_num_scheduled_tokens=sum(scheduled.values()),
            scheduled_new_reqs=new,
            scheduled_cached_reqs=cached,
            adapters=[each.adapter for each in self.running if each.lora and each.request_id in scheduled],
        )

    def update_from_output(self, output):
        outputs = []
        for request in [*self.running]:
            request.computed += output.num_scheduled_tokens.get(request.request_id, 0)
            if request.request_id in output.num_scheduled_tokens and request.computed == request.tokens:
                request.tokens += 1
                finished = request.tokens == request.prompt + request.answer
                if finished:
                    self.running.remove(request)
                word = request.lora + 1
                outputs.append(SimpleNamespace(request_id=request.request_id, new_token_ids=[word], finished=finished))
        return outputs
