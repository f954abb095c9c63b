"""Metering: rates and lengths of adapters, by the counters that a Prometheus server has kept."""
