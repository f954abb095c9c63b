"""What people have of a server: results of benchmarks, start-up logs and metrics pages. One file per format."""
