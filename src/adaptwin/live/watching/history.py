"""WatchHistory: what was observed and decided, in an SQLite database that outlives the process."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from adaptwin.errors import SpecError
from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.decision import WatchDecision
from adaptwin.live.watching.observed import Observed
from adaptwin.live.watching.recorded_traffic import RecordedTraffic
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.twin.run import Run
from adaptwin.workload.rates_over_time import DAY

PlansState = Literal["found", "run"]

WATCH_FORMAT = 1
KEPT_SECONDS = 35.0 * DAY  # of traffic
_LONGEST_LOCK = 60.0  # seconds that another program may hold the database
_APPLICATION = 0x61647477  # marks the databases of adaptwin
_TABLES = """
CREATE TABLE windows (time REAL PRIMARY KEY, seconds REAL NOT NULL, source TEXT NOT NULL);
CREATE TABLE requests (time REAL NOT NULL, adapter TEXT NOT NULL, number REAL NOT NULL, prompt_tokens REAL NOT NULL,
    answer_tokens REAL NOT NULL, PRIMARY KEY (time, adapter)) WITHOUT ROWID;
CREATE TABLE servers (time REAL NOT NULL, server TEXT NOT NULL, requests REAL, tokens REAL, ttft REAL, itl REAL,
    expected_tokens REAL, expected_ttft REAL, expected_itl REAL, headroom REAL, error TEXT,
    PRIMARY KEY (time, server)) WITHOUT ROWID;
CREATE TABLE decisions (time REAL PRIMARY KEY, kind TEXT NOT NULL, forecast TEXT, failures TEXT NOT NULL,
    notes TEXT NOT NULL, gpus INTEGER NOT NULL, moves INTEGER NOT NULL, restarts INTEGER NOT NULL);
CREATE TABLE plans (number INTEGER PRIMARY KEY, time REAL NOT NULL, origin TEXT NOT NULL, plans TEXT NOT NULL,
    state TEXT NOT NULL);
"""


class WatchHistory:
    """Windows of traffic, figures of servers, decisions and plans.

    Args:
        path: File of the database, which is made if it is not there; None keeps it in memory.

    Raises:
        SpecError: The file is no such database, or one of a later version.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._path = path
        with self._said():
            self._database = sqlite3.connect(":memory:" if path is None else path, _LONGEST_LOCK, isolation_level=None)
            self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, observed: Observed) -> None:
        """Keep what was observed; requests that are not known leave no window."""
        if observed.requests is None:
            return
        with self._whole():
            window = (observed.time, observed.seconds, observed.source)
            self._insert_all("windows", [window])
            rows = [
                (observed.time, name, *counted) for name, counted in observed.requests.items() if counted.requests > 0
            ]
            self._insert_all("requests", rows)
            for table in ("windows", "requests", "servers"):
                self._database.execute(f"DELETE FROM {table} WHERE time < ?", (observed.time - KEPT_SECONDS,))  # noqa: S608

    def add_decision(self, observed: Observed, decision: WatchDecision, expected: Mapping[str, Run], gpus: int) -> None:
        """Keep a decision, and what was measured of each server beside what the twin says of the same traffic."""
        headroom = decision.outlook.headroom if decision.outlook else {}
        with self._whole():
            rows = [
                (
                    observed.time,
                    name,
                    *(server.requests, server.tokens, server.ttft, server.itl),
                    *_kept_figures(expected.get(name)),
                    headroom.get(name),
                    None,
                )
                for name, server in observed.servers.items()
            ]
            rows += [
                (observed.time, name, *([None] * 7), headroom.get(name), error)
                for name, error in observed.unreadable.items()
            ]
            self._insert_all("servers", rows)
            said = (
                observed.time,
                decision.kind,
                decision.forecast.method if decision.forecast else None,
                json.dumps(decision.outlook.failures if decision.outlook else ()),
                json.dumps(decision.notes),
                gpus,
                decision.moves,
                decision.restarts,
            )
            self._insert_all("decisions", [said])

    def traffic(self, since: float) -> RecordedTraffic:
        """Return the traffic of the windows that end after a time, unix seconds."""
        with self._said():
            ends = self._database.execute("SELECT time, seconds FROM windows WHERE time > ? ORDER BY time", (since,))
            windows: dict[float, tuple[float, dict[str, Counted]]] = {end: (seconds, {}) for end, seconds in ends}
            for end, name, *counted in self._database.execute("SELECT * FROM requests WHERE time > ?", (since,)):
                if end in windows:
                    windows[end][1][name] = Counted(*counted)
        return RecordedTraffic.of_windows([(end, *window) for end, window in windows.items()])

    def keep_plans(self, time: float, origin: str, plans: Plans, state: PlansState) -> None:
        """Keep plans that were found, or that run; `origin` is the fingerprint of the plans given at first."""
        with self._whole():
            text = json.dumps([plan.file_form() for plan in plans.plans])
            row = (time, origin, text, state)
            self._database.execute("INSERT INTO plans (time, origin, plans, state) VALUES (?, ?, ?, ?)", row)

    def last_plans(self, origin: str) -> tuple[Plans | None, Plans | None]:
        """Return the plans that ran last, and those that were found since and are not in place; None where none are.

        Plans of this origin from before a watch of other plans are left out: those others ran since.
        """
        with self._said():
            rows = dict(
                self._database.execute(
                    "SELECT state, max(number) FROM plans WHERE number > "
                    "(SELECT coalesce(max(number), 0) FROM plans WHERE origin != ?) GROUP BY state",
                    (origin,),
                ).fetchall()
            )
            running, found = rows.get("run"), rows.get("found")
            if running is not None and found is not None and found < running:
                found = None
            return self._plans(running), self._plans(found)

    def _plans(self, number: int | None) -> Plans | None:
        if number is None:
            return None
        [text] = self._database.execute("SELECT plans FROM plans WHERE number = ?", (number,)).fetchone()
        return Plans(plans=tuple(Plan.parse(fields, self._path) for fields in json.loads(text)))

    def _insert_all(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Write rows of a table, in place of those with the same key."""
        if rows:
            places = ", ".join("?" * len(rows[0]))
            self._database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)  # noqa: S608

    def _prepare(self) -> None:
        database = self._database
        [application], [version] = (
            database.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
        )
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables:
            database.executescript(
                f"BEGIN; {_TABLES} PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {WATCH_FORMAT}; COMMIT"
            )
        elif application != _APPLICATION:
            raise SpecError("is a database of another program", file=self._path)
        elif version != WATCH_FORMAT:
            raise SpecError(
                f"is a history of version {version}, and this adaptwin reads {WATCH_FORMAT}", file=self._path
            )

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Write all or nothing."""
        with self._said(), self._database:  # which commits, or rolls back
            self._database.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what goes wrong with the database into a `SpecError`."""
        try:
            yield
        except sqlite3.Error as error:
            raise SpecError(f"cannot be used as a history: {error}", file=self._path) from None


def _kept_figures(run: Run | None) -> tuple[float | None, ...]:
    """Return the figures of a run that are kept."""
    return (None, None, None) if run is None else (run.throughput, run.ttft.mean, run.itl.mean)
