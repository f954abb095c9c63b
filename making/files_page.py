"""docs/reference/files.md: every field of every file that people write or read."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from adaptwin.calibration.measurements import MeasuredRun, Setup
from adaptwin.dataset.design import Design
from adaptwin.export.options import ExportOptions
from adaptwin.plan.fleet import Fleet
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.plan.schedule import Schedule
from adaptwin.profile.profile import Profile
from adaptwin.spec import Spec
from adaptwin.twin.run import Run
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.sources.adapters_csv import NEEDED_COLUMNS, OPTIONAL_COLUMNS
from adaptwin.workload.templates import Template
from adaptwin.workload.workload import Adapter
from field_tables import classes_in, field_table, places_in_words
from measured_page import generated_by
from plain_types import type_in_words
from reference_text import code, docstring_of, link, paragraph, prose, table

FILES_PAGE = "files.md"

WHAT = """This page shows every field of the files that people write or read: fleets, CSV files of adapters, plans,
profiles, designs of sweeps, measurements and runs."""

HOW = """Files are YAML or, with the suffix `.json`, JSON. Unknown keys, missing fields and values out of range are
refused, with the name of the file, the field and the value. A field that is *required* has no default. The default
*none* means that a file may leave the field out, and that it then has no value. Units are seconds, tokens, bytes and
requests per second unless the table says otherwise. The [glossary](glossary.md) explains the terms."""

OVERVIEW = (
    ("fleet", "The fleet file", "`adaptwin workload`, or you", "`plan`, `simulate`, `replan`"),
    ("CSV of adapters", "The CSV of adapters", "you", "`plan`, `simulate`, `replan`"),
    ("plan", "The plan file", "`plan`, `replan`", "`verify`, `explain`, `replan`, `export`"),
    ("profile", "The profile", "`fit`, `derive`", "`plan`, `simulate`, `sweep`, and the fleet file"),
    ("design", "The design of a sweep", "you", "`sweep`"),
    ("measurement folder", "The measurement folder", "you", "`fit`; `compare` (a measured run)"),
    ("run", "The run", "`simulate`", "`compare`"),
    ("options of an export", "The options of an export", "you", "`export --options`"),
)
SURROGATE_NOTE = """`adaptwin train --out` writes surrogates. They are read by `--surrogate` and not meant to be written
by people. `adaptwin sweep` writes folders of Parquet files, which `adaptwin train` reads."""


class FileSection(NamedTuple):
    """A kind of file, and the classes that hold its fields."""

    title: str
    note: str
    roots: tuple[type[Spec], ...]


SECTIONS = (
    FileSection(
        "The fleet file",
        """The adapters of a fleet with their traffic, and what is asked of a plan.
        [How to describe your adapters](../how-to/your-adapters.md) has examples. The fields of the file are those of
        `Fleet`.""",
        (Fleet,),
    ),
    FileSection(
        "The plan file",
        """A plan, with everything that is needed to check it. `adaptwin plan --json` prints the same fields as JSON.
        The fields of the file are those of `Plan`. For a fleet with several base models,
        the file has a plan for each; its field is that of `Plans`.""",
        (Plan, Plans),
    ),
    FileSection(
        "The schedule file",
        """Plans that follow each other over a day, and the GPU-hours that they save. `adaptwin plan --schedule --out`
        writes it to a folder, beside the plans. [How to plan for the time of day](../how-to/time-of-day.md) has an
        example. The fields of the file are those of `Schedule`.""",
        (Schedule,),
    ),
    FileSection(
        "The profile",
        """Costs of one type of server. [Calibration](../explanation/calibration.md) explains where the constants come
        from. The fields of the file are those of `Profile`.""",
        (Profile,),
    ),
    FileSection(
        "The design of a sweep",
        """Servers and traffic for `adaptwin sweep`. [How to train a surrogate](../how-to/train-a-surrogate.md) has an
        example. The fields of the file are those of `Design`.""",
        (Design,),
    ),
    FileSection(
        "The measurement folder",
        """[The measurement folder](measurements.md) describes its files and the columns of its tables. The fields of
        `setup.yaml` are those of `Setup`; `runs.json` is a list of `MeasuredRun`.""",
        (Setup, MeasuredRun),
    ),
    FileSection(
        "The run",
        """The result of a simulation. `adaptwin simulate --out` writes it as JSON, with null for figures that have no
        value. The fields of the file are those of `Run`.""",
        (Run,),
    ),
    FileSection(
        "The options of an export",
        """What a plan does not say and a [serving stack](serving-stacks.md) must know, for `adaptwin export --options`.
        The fields of the file are those of `ExportOptions`.""",
        (ExportOptions,),
    ),
)

ROOTS = tuple(root for section in SECTIONS for root in section.roots)

CSV_TITLE = "The CSV of adapters"
CSV_NOTE = """One row per adapter, with the names of the columns in the first line. It stands for a fleet file with
only adapters: name a profile with `--profile`. An empty cell means that the adapter has no such value. Lengths with
`input_mean` and `output_mean` are independent lognormals with coefficient of variation 1."""
OTHER_CSV_NOTE = "Other CSV files, each with the names of the columns in the first line:"
OTHER_CSV = (
    ("arrivals that follow a day", "`rates:FILE` in `arrivals`", "`start` (seconds), `factor` (on every rate)"),
    (
        "rates over time",
        "`rates_over_time` in a fleet, `adaptwin plan --rates-over-time`",
        "`name` and one for each period, or `start`, `name`, `rate` ([the forms](../how-to/time-of-day.md))",
    ),
    ("rates of adapters", "`adaptwin workload from-peft --rates`", "`name`, `rate` (requests per second)"),
    (
        "request trace",
        "`adaptwin workload from-trace`",
        "those of Azure or Mooncake, or Mooncake's JSON lines ([how to use one](../how-to/your-adapters.md))",
    ),
)

LENGTH_FORMS = (
    ("sharegpt", "assumed", "the published ShareGPT distribution, marked as assumed because nothing is known"),
    ("fixed", "pair of whole numbers", "prompt and answer tokens of every request"),
    ("empirical", "list of pairs of whole numbers", "prompt and answer tokens; requests are drawn from these pairs"),
    ("lognormal", "mapping", "independent lognormals, with the four fields below"),
)
LENGTHS_NOTE = (
    "The word `sharegpt` (the published ShareGPT distribution), or a mapping with one of the other keys of this table:"
)
MOMENTS_NOTE = "Fields of `lognormal`, all required, and `are_limits`, which may stand beside any of the keys:"

END = generated_by("reference", after="a change to a class that has a file form")


def files_page() -> str:
    """Return the page."""
    rows = [[link(name, title), made, read] for name, title, made, read in OVERVIEW]
    head = ["# Files", paragraph(WHAT), paragraph(HOW), table(["file", "written by", "read by"], rows)]
    parts = [*head, paragraph(SURROGATE_NOTE)]
    for section in SECTIONS:
        parts += _section(section)
        if section is SECTIONS[0]:
            parts += _csv_section()
    return "\n\n".join([*parts, END]) + "\n"


def described_classes() -> dict[type[Spec], FileSection]:
    """Return the classes that the page describes, each with the section where it is described."""
    found: dict[type[Spec], FileSection] = {}
    for section in SECTIONS:
        for root in section.roots:
            found |= {spec: section for spec in classes_in(root, ROOTS) if spec not in found}
    return found


def link_within(spec: type[Spec]) -> str:
    """Name a class, with a link to its heading on the page."""
    return link(spec.__name__, spec.__name__)


def _section(section: FileSection) -> Iterator[str]:
    yield f"## {section.title}"
    yield paragraph(section.note)
    for root in section.roots:
        for spec, places in classes_in(root, ROOTS).items():
            if described_classes()[spec] is section:
                yield from _class(spec, places)


def _class(spec: type[Spec], places: list[str]) -> Iterator[str]:
    yield f"### {spec.__name__}"
    yield docstring_of(spec).text
    if places:
        yield places_in_words(places)
    yield from _lengths_tables() if spec is Lengths else [field_table(spec, link_within)]


def _lengths_tables() -> Iterator[str]:
    """Describe the file form of lengths, which differs from their fields."""
    yield LENGTHS_NOTE
    yield table(["key", "value", "meaning"], [[code(key), value, meaning] for key, value, meaning in LENGTH_FORMS])
    yield MOMENTS_NOTE
    names = ("input_mean", "input_cv", "output_mean", "output_cv", "are_limits")
    rows = []
    for name in names:
        field = Lengths.model_fields[name]
        meaning = prose((field.description or "").removesuffix(", lognormal"))
        rows.append([code(name), type_in_words(field, link_within), meaning])
    yield table(["field", "type", "meaning"], rows)


def _csv_section() -> Iterator[str]:
    yield f"## {CSV_TITLE}"
    yield paragraph(CSV_NOTE)
    rows = [_column(name, "*required*") for name in NEEDED_COLUMNS]
    rows += [_column(name, "none") for name in OPTIONAL_COLUMNS]
    yield table(["column", "type", "default", "meaning"], rows)
    yield OTHER_CSV_NOTE
    yield table(["file", "named by", "columns"], OTHER_CSV)


def _column(name: str, default: str) -> list[str]:
    """Return the row of a column, which is described as a field; times may be in milliseconds."""
    field_name = name.removesuffix("_ms")
    fields = {**Lengths.model_fields, **Adapter.model_fields, "system_prompt": Template.model_fields["tokens"]}
    field = fields[field_name]
    meaning = (field.description or "").removesuffix(", lognormal")
    if field_name != name:
        meaning = re.sub(r"\bseconds\b", "milliseconds", meaning)
        assert "milliseconds" in meaning, f"the description of {field_name} names no unit"
    return [code(name), type_in_words(field, link_within), default, prose(meaning)]
