"""A plan in the words of the serving stacks that run it."""
