"""The web page: planning for people who will not open a terminal, and the same as a JSON API."""
