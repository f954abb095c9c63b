"""Whether a plan holds, with seeds that the search did not use, and what the twin expects of it."""
