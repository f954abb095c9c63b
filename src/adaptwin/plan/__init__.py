"""The values that make up a plan, each with a file form; the search for a plan is elsewhere, in `placement`."""
