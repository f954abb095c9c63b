"""A plan for people: tables, charts, the page, and the sentences they share."""
