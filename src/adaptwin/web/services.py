"""Services: what the parts of the API share."""

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import Depends, Request

from adaptwin.web.job import PlanJob, WebClient
from adaptwin.web.job_process import plan_orders
from adaptwin.web.job_queue import JobQueue
from adaptwin.web.job_store import JobStore
from adaptwin.web.settings import WebSettings
from adaptwin.web.worker import Work


class Services:
    """The store and the queue of jobs, threads that simulate, and the settings of the server."""

    def __init__(self, settings: WebSettings, work: Work = plan_orders) -> None:
        """Open the store; `work` is done by the processes of the queue. Raises `SpecError`."""
        self.settings = settings
        self.store = JobStore(settings.database)
        self.queue = JobQueue(self.store, settings, work)
        self.simulators = ThreadPoolExecutor(settings.most_simulations, "simulating")
        self.simulations = 0  # that run or wait
        self.is_closing = False

    def ahead_of(self, job: PlanJob) -> int:
        """Return how many jobs were queued before a job and still wait."""
        return self.store.ahead_of(job) if job.state == "queued" else 0

    def client_of(self, request: Request) -> WebClient:
        """Return who asks, for turns: the address, and the visitor that the page names."""
        visitor = request.headers.get("x-adaptwin-client", "")[:64]
        return WebClient(request.client.host if request.client else "", visitor)

    def close(self) -> None:
        """Stop the queue, and close the store."""
        self.is_closing = True
        self.queue.close()
        self.simulators.shutdown(cancel_futures=True)
        self.store.close()


def services_of(request: Request) -> Services:
    """Return the services of the app that a request is for."""
    services: Services = request.app.state.services
    return services


UsedServices = Annotated[Services, Depends(services_of)]
