"""Reports on a plan: tables, figures, the page, and the sentences they share."""
