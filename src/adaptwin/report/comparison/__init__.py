"""Reports on a comparison of simulated runs with measured ones: tables, figures, the page, and plain data."""
