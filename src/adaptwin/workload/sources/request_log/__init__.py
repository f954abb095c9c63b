"""Request logs: files with one request per row, in any of the formats that gateways, servers and traces have."""
