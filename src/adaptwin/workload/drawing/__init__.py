"""Drawing the requests of a workload: random streams, sorting, answers that end early."""
