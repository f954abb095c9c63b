"""Sources of workloads: one module per format."""
