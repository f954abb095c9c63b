"""What a workload asks of a server in the mean, in figures that add up."""
