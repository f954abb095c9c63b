"""Reports on a watch: its rounds in the terminal, the page of a simulated time, and the dashboard of Grafana."""
