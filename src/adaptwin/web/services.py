"""Services: what the parts of the API share."""

import threading

from fastapi import Request

from adaptwin.web.job import Job
from adaptwin.web.job_process import make_plans
from adaptwin.web.job_queue import JobQueue, Work
from adaptwin.web.job_store import JobStore
from adaptwin.web.settings import WebSettings


class Services:
    """The store and the queue of jobs, and the settings of the server."""

    def __init__(self, settings: WebSettings, work: Work = make_plans) -> None:
        """Open the store; `work` is done by the processes of the queue. Raises `SpecError`."""
        self.settings = settings
        self.store = JobStore(settings.database)
        self.queue = JobQueue(self.store, settings.workers, settings.most_seconds, work, settings.most_kept)
        self.simulations = threading.BoundedSemaphore(settings.most_simulations)
        self.is_closing = False

    def ahead_of(self, job: Job) -> int:
        """Return how many jobs were queued before a job and still wait."""
        return self.store.ahead_of(job) if job.state == "queued" else 0

    def client_of(self, request: Request) -> str:
        """Return who asks, for turns: the visitor of the page, or else the address."""
        return request.headers.get("x-adaptwin-client", "")[:64] or (request.client.host if request.client else "")

    def close(self) -> None:
        """Stop the queue, and close the store."""
        self.is_closing = True
        self.queue.close()
        self.store.close()


def services_of(request: Request) -> Services:
    """Return the services of the app that a request is for."""
    services: Services = request.app.state.services
    return services
