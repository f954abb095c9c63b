"""A server just beyond its headroom, with made-up numbers."""

from adaptwin.plan.forecast import Brink

BRINK = Brink(
    traffic=1.42,
    mean_running=230.0,
    mean_waiting=14.4,
    mean_adapters=46.2,
    kv_usage=0.93,
    busy=1.0,
    preemptions=12,
    ttft_p99=9.0,
    itl_mean=0.061,
    itl_p99=0.12,
)
