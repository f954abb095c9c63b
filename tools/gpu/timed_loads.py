"""time_loads: adapters that were never loaded, rank by rank."""

from driver import Driver

RANKS = (8, 16, 32, 64)
FIRST, WARM, COLD = 500, 5, 3  # index of the first adapter; loads out of the page cache, and from the device


def time_loads(driver: Driver) -> None:
    """Load adapters of each rank that the server takes; the driver's `loads` has the times."""
    for rank in RANKS:
        if rank > driver.spec.max_lora_rank:
            continue
        adapters = [driver.adapter(rank, FIRST + index) for index in range(WARM + COLD)]
        for adapter in adapters[:WARM]:
            driver.load([adapter])
        for adapter in adapters[WARM:]:
            driver.load_from_device(adapter, rank)
