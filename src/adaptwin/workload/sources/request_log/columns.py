"""Columns of logs: which of them holds the time, the tokens and the adapter of a request, by the names in use."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

TimeUnit = Literal["s", "ms", "us", "ns"]
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_UNIT_IN_NAME = {
    **{f"_{unit}": unit for unit in PER_SECOND},
    "_sec": "s",
    "_seconds": "s",
    "_millis": "ms",
    "_milliseconds": "ms",
    "_micros": "us",
    "_nanos": "ns",
}

LORA_NAMES = (  # of columns that name an adapter, and nothing for requests to the base model
    "loraname", "lora", "loraadapter", "loraadaptername", "loramodel", "adapter", "adaptername", "adapterid", "loraid",
)  # fmt: skip
ROLES: Mapping[str, tuple[str, ...]] = {  # names without separators, in lower case; the first that a log has counts
    "time": (
        "starttime", "requeststarttime", "starttimestamp", "startedat", "arrivaltime", "arrivaltimestamp", "arrivedat",
        "requesttimestamp", "timestamp", "msec", "timeiso8601", "time", "ts", "created", "createdat", "datetime",
        "date", "eventtime", "loggedat", "timelocal", "aggregationtimestamp",
    ),
    "input": (
        "prompttokens", "inputtokens", "contexttokens", "inputlength", "requesttokens", "genaiusageinputtokens",
        "usageprompttokens", "usageinputtokens", "responseusageprompttokens", "responseusageinputtokens",
        "llminputtoken", "genaiusageprompttokens", "numprompttokens", "nprompttokens", "numinputtokens",
        "prompttokencount", "inputtokencount", "promptlength", "promptlen", "inputlen", "tokensin", "prefilltokens",
        "ncontexttokenstotal",
    ),
    "output": (
        "completiontokens", "outputtokens", "generatedtokens", "outputlength", "responsetokens",
        "genaiusageoutputtokens", "usagecompletiontokens", "usageoutputtokens", "responseusagecompletiontokens",
        "responseusageoutputtokens", "llmoutputtoken", "genaiusagecompletiontokens", "numcompletiontokens",
        "numgeneratedtokens", "numgenerationtokens", "numoutputtokens", "completiontokencount", "outputtokencount",
        "completionlength", "outputlen", "completionlen", "tokensout", "decodetokens", "ngeneratedtokenstotal",
    ),
    "adapter": (
        *LORA_NAMES, "modelgroup",
        "genairequestmodel", "requestmodel", "requestedmodel", "requestbodymodel", "bodymodel", "modelname", "model",
        "xmodel", "snapshotid", "deployment",
    ),
    "status": (
        "status", "statuscode", "responsecode", "httpstatus", "httpstatuscode", "responsestatus",
        "httpresponsestatuscode", "httpresponsestatus", "downstreamstatus", "scstatus", "upstreamstatus", "code",
    ),
    "error": ("error", "errormessage", "errortype", "errorcode", "exception"),
    "endpoint": (
        "calltype", "xenvoyoriginalpath", "xenvoyoriginpath", "uri", "requesturi", "path", "requestpath", "endpoint",
        "url", "genaioperationname", "operation", "operationname", "request",
    ),
    "cache": ("cachehit",),
    "requests": (
        "nummodelrequests", "nrequests", "numrequests", "requestcount", "apirequests", "totalrequests", "requests",
        "numcalls", "calls", "count",
    ),
    "cached": ("cachereadinputtokens", "usagecachereadinputtokens"),  # beside input_tokens, which leave them out
    "created": ("cachecreationinputtokens", "usagecachecreationinputtokens"),
    "end": ("endtime", "starttimeend"),
    "blocks": ("hashids",),
    "prompt": (),  # texts are read only where they are asked for
}  # fmt: skip


class KnownFormat(NamedTuple):
    """A log or trace with a name: the columns that tell it, and what they leave unsaid."""

    name: str
    columns: tuple[str, ...]  # as written there; the first three are time, prompt and answer tokens
    unit: str = "s"  # of times that count from the beginning
    zero_output: str = ""  # why a request has no answer tokens; empty where that may be so
    fallback: str = ""  # the column that names the model where that of the role is empty


FORMATS = (  # the first whose columns a log has is its format
    KnownFormat("Azure", ("TIMESTAMP", "ContextTokens", "GeneratedTokens")),
    KnownFormat("Mooncake", ("timestamp_ms", "input_length", "output_length"), "ms"),
    KnownFormat("Mooncake", ("timestamp", "input_length", "output_length"), "ms"),
    KnownFormat("BurstGPT", ("Timestamp", "Request tokens", "Response tokens", "Model"), "s", "failed"),
    KnownFormat(
        "LiteLLM", ("startTime", "prompt_tokens", "completion_tokens", "call_type", "model_group"), fallback="model"
    ),
    KnownFormat("ServeGen", ("timestamp", "input_tokens", "output_tokens", "request_id"), "s"),
)


def plain_name(name: str) -> str:
    """Return a name without separators, in lower case: ``prompttokens`` of ``Prompt_Tokens``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def unit_in(name: str) -> str | None:
    """Return the unit that the name of a column ends with, as ``timestamp_ms`` does."""
    return next((unit for ending, unit in _UNIT_IN_NAME.items() if name.lower().strip().endswith(ending)), None)


def _stem(name: str) -> str:
    """Return the plain name of a column without the unit that it ends with."""
    ending = next((ending for ending in _UNIT_IN_NAME if name.lower().strip().endswith(ending)), "")
    return plain_name(name.strip()[: len(name.strip()) - len(ending)])


def roles_in(columns: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the column of each role that the log has; a column that is `given` for a role must be among them."""
    found = {}
    for role, names in ROLES.items():
        if wanted := given.get(role):
            found[role] = wanted
        elif name := _first_of(columns, names, exact=role != "time"):
            found[role] = name
    return found


def base_column(columns: Sequence[str], roles: Mapping[str, str]) -> str | None:
    """Return the column with the model of requests without an adapter, where adapters have a column of their own."""
    if plain_name(roles.get("adapter", "")) not in LORA_NAMES:
        return None
    return _first_of(columns, [name for name in ROLES["adapter"] if name not in LORA_NAMES], exact=True)


def _first_of(columns: Sequence[str], names: Iterable[str], exact: bool) -> str | None:
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain_name(column), column)
        if not exact:
            by_name.setdefault(_stem(column), column)
    return next((by_name[name] for name in names if name in by_name), None)


def format_in(columns: Sequence[str]) -> KnownFormat | None:
    """Return the known format whose columns are all there; None if there is none."""
    have = {plain_name(column) for column in columns}
    return next((known for known in FORMATS if have.issuperset(map(plain_name, known.columns))), None)


def nearest_format(columns: Sequence[str]) -> KnownFormat | None:
    """Return the known format of whose first three columns a log has the most; None if it has none of any."""
    have = set(columns)
    nearest = max(FORMATS, key=lambda known: len(have & set(known.columns[:3])))
    return nearest if have & set(nearest.columns[:3]) else None
