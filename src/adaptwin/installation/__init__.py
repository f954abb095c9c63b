"""What is installed and whether it works: versions, machine, caches, extras, shipped files, and a self-test."""
