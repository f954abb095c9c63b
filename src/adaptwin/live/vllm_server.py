"""VllmServer: a running vLLM server, asked over HTTP."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adaptwin.calibration.sources.metrics_page import metric_samples
from adaptwin.errors import ServerError
from adaptwin.live.answer import TakenAnswer, completion_fields, take_answer
from adaptwin.live.connection import USUAL_TIMEOUT, get_text, require_answered, said_as_server_error, text_of
from adaptwin.live.listed_models import ListedModels, listed_models
from adaptwin.live.server_metrics import ServerMetrics, server_metrics
from adaptwin.visible import visible

if TYPE_CHECKING:
    import aiohttp

_LONGEST_SILENCE = 120.0  # seconds without a token
_LOAD_TIMEOUT = 120.0  # seconds to load an adapter, which may come over the network


class VllmServer:
    """A running vLLM server. Every method raises `ServerError` if the server does not do what is asked.

    Args:
        url: Address, such as ``http://localhost:8000``.
        session: Open session, which carries the API key.
        timeout: Seconds for an answer that generates no text.
    """

    def __init__(self, url: str, session: "aiohttp.ClientSession", timeout: float = USUAL_TIMEOUT) -> None:
        self.url, self.session, self._timeout = url, session, timeout

    async def models(self) -> ListedModels:
        """Return the base model and the adapters that the server lists."""
        return listed_models(await self._json("/v1/models"), self.url)

    async def version(self) -> str | None:
        """Return the version of vLLM; None if the server does not say."""
        try:
            data = await self._json("/version")
        except ServerError:
            return None
        found = data.get("version") if isinstance(data, dict) else None
        return visible(found) if isinstance(found, str) else None

    async def metrics(self) -> ServerMetrics:
        """Return what ``/metrics`` says now."""
        samples = metric_samples(await self._get("/metrics"))
        if not samples:
            raise ServerError("/metrics has no metrics of vLLM", self.url)
        return server_metrics(samples)

    async def complete(self, model: str, prompt: str | list[int], answer_tokens: int) -> TakenAnswer:
        """Ask for an answer of so many tokens and return it."""
        answer = TakenAnswer()
        fields = completion_fields(model, prompt, answer_tokens)
        await take_answer(self.session, self.url, fields, answer, _LONGEST_SILENCE)
        if answer.error:
            raise ServerError(f"a request for {model} failed: {answer.error}", self.url)
        return answer

    async def load_adapter(self, name: str, path: str, *, in_place: bool = False) -> None:
        """Load an adapter from a path or repository; `in_place` replaces the weights of one that is loaded."""
        fields: dict[str, str | bool] = {"lora_name": name, "lora_path": path}
        if in_place:
            fields["load_inplace"] = True
        await self._post("/v1/load_lora_adapter", fields, f"adapter {name!r} from {path} was not loaded")

    async def unload_adapter(self, name: str) -> None:
        """Unload an adapter."""
        await self._post("/v1/unload_lora_adapter", {"lora_name": name}, f"adapter {name!r} was not unloaded")

    async def _json(self, path: str) -> Any:
        text = await self._get(path)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ServerError(f"{path} is no JSON, so this is no server with the API of OpenAI", self.url) from None

    async def _get(self, path: str) -> str:
        return await get_text(self.session, self.url, path, self._timeout)

    async def _post(self, path: str, fields: Mapping[str, str | bool], what: str) -> None:
        import aiohttp

        limit = aiohttp.ClientTimeout(total=_LOAD_TIMEOUT)
        with said_as_server_error(self.url, _LOAD_TIMEOUT):
            async with self.session.post(f"{self.url}{path}", json=fields, timeout=limit) as response:
                text = await text_of(response, self.url)
        if response.status == 404 and "not found" in text.lower() and "adapter" not in text.lower():
            what += ": adapters can only be loaded if the server runs with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
        require_answered(response.status, text, self.url, what)
