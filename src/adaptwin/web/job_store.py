"""JobStore: jobs and their results in a SQLite file, so that a restart loses nothing."""

import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError
from adaptwin.web.job import ENDED, Failure, JobResult, PlanJob, Stage, State, Waiting, WebClient

_VERSION = 1  # of the tables
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, address TEXT NOT NULL, visitor TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL,
    started REAL, ended REAL, about TEXT NOT NULL, stage TEXT, failure TEXT, summary TEXT,
    begun INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (created);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, request BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS results (id TEXT PRIMARY KEY, plan BLOB NOT NULL, report BLOB NOT NULL);
"""
MOST_BEGUN = 3  # times that a job is begun; one that ended its server so often is not begun again
_COLUMNS = "id, state, created, started, ended, about, stage, failure, summary"
_ENDED = ", ".join(f"'{state}'" for state in ENDED)


class JobStore:
    """Jobs in a SQLite file. What a method has written is on the disk when it returns; threads may share a store.

    The file belongs to one store at a time. Requests and results, which are large, are apart from the jobs: lists and
    looks at a job do not read them.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make it; jobs that ran when it was last closed are queued again, up to a few times.

        Raises `SpecError`: the file is another store's at present, or cannot be one.
        """
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, timeout=0.5, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise SpecError(f"cannot hold the jobs: {error}", file=path) from None
        try:
            self._open(path)
        except sqlite3.Error as error:
            self._database.close()
            why = "another server uses it" if "locked" in str(error) else f"cannot hold the jobs: {error}"
            raise SpecError(why, file=path) from None
        except SpecError:
            self._database.close()
            raise

    def _open(self, path: str | Path) -> None:
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise SpecError(f"was written by another version of adaptwin (tables {version})", file=path)
        self._database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
        why = Failure("", f"the server ended {MOST_BEGUN} times while it was planning: too little memory?", "fault")
        with self._changing():
            self._database.execute(
                "UPDATE jobs SET state = 'failed', ended = ?, stage = NULL, failure = ? "
                "WHERE state = 'running' AND begun >= ?",
                (time.time(), json.dumps(why), MOST_BEGUN),
            )
            self._database.execute(
                "UPDATE jobs SET state = 'queued', started = NULL, stage = NULL WHERE state = 'running'"
            )

    def add(self, job_id: str, client: WebClient, request: dict[str, Any], about: dict[str, Any]) -> PlanJob:
        """Queue a job."""
        with self._changing():
            self._database.execute("INSERT INTO requests VALUES (?, ?)", (job_id, _compressed(json.dumps(request))))
            self._database.execute(
                "INSERT INTO jobs (id, address, visitor, state, created, about) VALUES (?, ?, ?, 'queued', ?, ?)",
                (job_id, *client, time.time(), json.dumps(about)),
            )
        found = self.job(job_id)
        assert found is not None
        return found

    def job(self, job_id: str) -> PlanJob | None:
        """Return a job; None if there is none of this name."""
        found = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,))  # noqa: S608 (a constant)
        return _job_of(found[0]) if found else None

    def state(self, job_id: str) -> State | None:
        """Return the state of a job; None if there is none of this name."""
        found = self._read("SELECT state FROM jobs WHERE id = ?", (job_id,))
        return found[0][0] if found else None

    def request(self, job_id: str) -> dict[str, Any] | None:
        """Return what was asked for; None where that is not kept, as for a job that failed or was cancelled."""
        found = self._read("SELECT request FROM requests WHERE id = ?", (job_id,))
        return None if not found else json.loads(_uncompressed(found[0][0]))

    def latest(self, most: int, state: State | None = None) -> list[PlanJob]:
        """Return the newest jobs, in this state if one is given, the last one first."""
        where, values = ("", (most,)) if state is None else ("WHERE state = ?", (state, most))
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs {where} ORDER BY created DESC, rowid DESC LIMIT ?", values)  # noqa: S608
        return [_job_of(row) for row in rows]

    def waiting(self) -> list[Waiting]:
        """Return the jobs that wait, the oldest first."""
        rows = self._read(
            "SELECT id, address, visitor, created FROM jobs WHERE state = 'queued' ORDER BY created, rowid", ()
        )
        return [Waiting(job_id, WebClient(address, visitor), created) for job_id, address, visitor, created in rows]

    def ahead_of(self, job: PlanJob) -> int:
        """Return the number of jobs that wait and were queued before this one."""
        ((number,),) = self._read("SELECT count(*) FROM jobs WHERE state = 'queued' AND created < ?", (job.created,))
        return int(number)

    def counts(self) -> dict[str, int]:
        """Return the number of jobs by state."""
        return dict(self._read("SELECT state, count(*) FROM jobs GROUP BY state", ()))

    def require_writable(self) -> None:
        """Raise `sqlite3.Error` if nothing can be written."""
        self._write(f"PRAGMA user_version = {_VERSION}", ())

    def begin(self, job_id: str) -> bool:
        """Mark a queued job as running; whether it was queued still."""
        return self._change("running", job_id, ("queued",), "begun = begun + 1, started = ?", (time.time(),))

    def at(self, job_id: str, stage: Stage) -> None:
        """Note how far a running job is."""
        self._write("UPDATE jobs SET stage = ? WHERE id = ? AND state = 'running'", (json.dumps(stage), job_id))

    def finish(self, job_id: str, result: JobResult) -> bool:
        """Keep the result of a running job, which is then done; whether it was running still."""
        packed = [_compressed(text) for text in (result.plan, result.report)]
        with self._changing():
            changed = self._database.execute(
                "UPDATE jobs SET state = 'done', ended = ?, stage = NULL, summary = ? "
                "WHERE id = ? AND state = 'running'",
                (time.time(), json.dumps(result.summary), job_id),
            ).rowcount
            if changed:
                self._database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (job_id, *packed))
        return bool(changed)

    def fail(self, job_id: str, failure: Failure) -> bool:
        """Mark a queued or running job as failed; whether it was one."""
        values = (time.time(), json.dumps(failure))
        return self._change("failed", job_id, ("queued", "running"), "ended = ?, stage = NULL, failure = ?", values)

    def cancel(self, job_id: str) -> bool:
        """Mark a queued or running job as cancelled; whether it was one."""
        return self._change("cancelled", job_id, ("queued", "running"), "ended = ?, stage = NULL", (time.time(),))

    def remove(self, job_id: str) -> bool:
        """Forget a job that has ended, and its result; whether it was one."""
        with self._changing():
            gone = self._database.execute(f"DELETE FROM jobs WHERE id = ? AND state IN ({_ENDED})", (job_id,)).rowcount  # noqa: S608
            if gone:
                self._forget("requests", (job_id,))
                self._forget("results", (job_id,))
        return bool(gone)

    def keep(self, most: int) -> None:
        """Forget all jobs that have ended but the newest ones, of which there are this many at most.

        What was asked for in jobs that failed or were cancelled is forgotten as well, and room in the file is given up.
        """
        with self._changing():
            old = self._database.execute(
                f"SELECT id FROM jobs WHERE state IN ({_ENDED}) ORDER BY created DESC, rowid DESC LIMIT -1 OFFSET ?",  # noqa: S608
                (most,),
            ).fetchall()
            for (job_id,) in old:
                for table in ("jobs", "requests", "results"):
                    self._forget(table, (job_id,))
            self._database.execute(
                "DELETE FROM requests WHERE id IN (SELECT id FROM jobs WHERE state IN ('failed', 'cancelled'))"
            )
        with self._lock:
            self._database.executescript("PRAGMA incremental_vacuum")  # `execute` would free a single page

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

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change several tables together, or none of them."""
        with self._lock, self._database:  # which commits, or rolls back
            self._database.execute("BEGIN IMMEDIATE")
            yield

    def _forget(self, table: str, key: tuple[str]) -> None:
        self._database.execute(f"DELETE FROM {table} WHERE id = ?", key)  # noqa: S608 (one of three constants)

    def _text(self, column: str, job_id: str) -> str | None:
        found = self._read(f"SELECT {column} FROM results WHERE id = ?", (job_id,))  # noqa: S608 (one of two constants)
        return _uncompressed(found[0][0]) if found else None

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


def _compressed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def _uncompressed(content: bytes) -> str:
    return zlib.decompress(content).decode("utf-8", "surrogatepass")


def _job_of(row: tuple[Any, ...]) -> PlanJob:
    job_id, state, created, started, ended, about, stage, failure, summary = row
    return PlanJob(
        job_id,
        state,
        created,
        started,
        ended,
        json.loads(about),
        Stage(*json.loads(stage)) if stage else None,
        Failure(*json.loads(failure)) if failure else None,
        json.loads(summary) if summary else None,
    )
