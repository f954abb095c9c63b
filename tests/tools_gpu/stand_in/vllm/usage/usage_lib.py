"""A stand-in for the contexts of use, on which vLLM's defaults depend."""


class UsageContext:
    OPENAI_API_SERVER = "the API server"
