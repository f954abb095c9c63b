"""JobStore: jobs and their results in a SQLite file, so that a restart loses nothing."""

import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError
from adaptwin.web.job import ENDED, Failure, Job, Result, Stage, State

_VERSION = 1  # of the tables
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    request TEXT NOT NULL, stage TEXT, failure TEXT, summary TEXT, begun INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
CREATE TABLE IF NOT EXISTS results (id TEXT PRIMARY KEY REFERENCES jobs (id), plan BLOB NOT NULL, report BLOB NOT NULL);
"""
MOST_BEGUN = 3  # times that a job is begun; one that ended its server so often is not begun again
_COLUMNS = "id, client, state, created, started, ended, request, stage, failure, summary"


class JobStore:
    """Jobs in a SQLite file. What a method has written is on the disk when it returns; threads may share a store."""

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make it; jobs that ran when it was last closed are queued again, up to a few times.

        Raises `SpecError`.
        """
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise SpecError(f"was written by another version of adaptwin (tables {version})", file=path)
            self._database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
            self._queue_again()
        except sqlite3.Error as error:
            raise SpecError(f"cannot hold the jobs: {error}", file=path) from None

    def _queue_again(self) -> None:
        why = Failure("", f"the server ended {MOST_BEGUN} times while it was planned: too little memory?", "fault")
        self._database.execute(
            "UPDATE jobs SET state = 'failed', ended = ?, stage = NULL, failure = ? "
            "WHERE state = 'running' AND begun >= ?",
            (time.time(), json.dumps(why), MOST_BEGUN),
        )
        self._database.execute("UPDATE jobs SET state = 'queued', started = NULL, stage = NULL WHERE state = 'running'")

    def add(self, job_id: str, client: str, request: dict[str, Any]) -> Job:
        """Queue a job."""
        row = (job_id, client, "queued", time.time(), json.dumps(request))
        self._write("INSERT INTO jobs (id, client, state, created, request) VALUES (?, ?, ?, ?, ?)", row)
        found = self.job(job_id)
        assert found is not None
        return found

    def job(self, job_id: str) -> Job | None:
        """Return a job; None if there is none of this name."""
        found = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,))  # noqa: S608 (a constant)
        return _job_of(found[0]) if found else None

    def latest(self, most: int) -> list[Job]:
        """Return the newest jobs, the last one first."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs ORDER BY created DESC, rowid DESC LIMIT ?", (most,))  # noqa: S608
        return [_job_of(row) for row in rows]

    def queued(self) -> list[Job]:
        """Return the jobs that wait, the oldest first."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE state = 'queued' ORDER BY created, rowid", ())  # noqa: S608
        return [_job_of(row) for row in rows]

    def ahead_of(self, job: Job) -> int:
        """Return the number of jobs that wait and were queued before this one."""
        ((number,),) = self._read("SELECT count(*) FROM jobs WHERE state = 'queued' AND created < ?", (job.created,))
        return int(number)

    def counts(self) -> dict[str, int]:
        """Return the number of jobs by state."""
        return dict(self._read("SELECT state, count(*) FROM jobs GROUP BY state", ()))

    def begin(self, job_id: str) -> bool:
        """Mark a queued job as running; whether it was queued still."""
        return self._change("running", job_id, ("queued",), "begun = begun + 1, started = ?", (time.time(),))

    def at(self, job_id: str, stage: Stage) -> None:
        """Note how far a running job is."""
        self._write("UPDATE jobs SET stage = ? WHERE id = ? AND state = 'running'", (json.dumps(stage), job_id))

    def finish(self, job_id: str, result: Result) -> bool:
        """Keep the result of a running job, which is then done; whether it was running still."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            changed = self._database.execute(
                "UPDATE jobs SET state = 'done', ended = ?, stage = NULL, summary = ? "
                "WHERE id = ? AND state = 'running'",
                (time.time(), json.dumps(result.summary), job_id),
            ).rowcount
            if changed:
                packed = (zlib.compress(text.encode()) for text in (result.plan, result.report))
                self._database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (job_id, *packed))
        return bool(changed)

    def fail(self, job_id: str, failure: Failure) -> bool:
        """Mark a queued or running job as failed; whether it was one."""
        return self._change(
            "failed", job_id, ("queued", "running"), "ended = ?, failure = ?", (time.time(), json.dumps(failure))
        )

    def cancel(self, job_id: str) -> bool:
        """Mark a queued or running job as cancelled; whether it was one."""
        return self._change("cancelled", job_id, ("queued", "running"), "ended = ?, stage = NULL", (time.time(),))

    def remove(self, job_id: str) -> None:
        """Forget a job and its result."""
        self._write("DELETE FROM results WHERE id = ?", (job_id,))
        self._write("DELETE FROM jobs WHERE id = ?", (job_id,))

    def keep(self, most: int) -> None:
        """Forget all jobs that have ended but the newest ones, of which there are this many at most."""
        states = ", ".join(f"'{each}'" for each in ENDED)
        old = self._read(
            f"SELECT id FROM jobs WHERE state IN ({states}) ORDER BY created DESC, rowid DESC LIMIT -1 OFFSET ?",  # noqa: S608
            (most,),
        )
        for (job_id,) in old:
            self.remove(job_id)

    def plan(self, job_id: str) -> str | None:
        """Return the text of the plans' file of a job; None where it has none."""
        return self._text("plan", job_id)

    def report(self, job_id: str) -> str | None:
        """Return the page of a job, without the library that draws its figures; None where it has none."""
        return self._text("report", job_id)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _text(self, column: str, job_id: str) -> str | None:
        found = self._read(f"SELECT {column} FROM results WHERE id = ?", (job_id,))  # noqa: S608 (one of two constants)
        return zlib.decompress(found[0][0]).decode() if found else None

    def _change(
        self, state: State, job_id: str, before: Iterable[State], assigned: str, values: tuple[Any, ...]
    ) -> bool:
        states = ", ".join(f"'{each}'" for each in before)
        return (
            self._write(
                f"UPDATE jobs SET state = ?, {assigned} WHERE id = ? AND state IN ({states})",  # noqa: S608 (constants)
                (state, *values, job_id),
            )
            > 0
        )

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        with self._lock:
            return self._database.execute(statement, values).rowcount

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _job_of(row: tuple[Any, ...]) -> Job:
    job_id, client, state, created, started, ended, request, stage, failure, summary = row
    return Job(
        job_id,
        client,
        state,
        created,
        started,
        ended,
        json.loads(request),
        Stage(*json.loads(stage)) if stage else None,
        Failure(*json.loads(failure)) if failure else None,
        json.loads(summary) if summary else None,
    )
