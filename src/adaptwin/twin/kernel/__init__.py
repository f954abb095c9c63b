"""The twin compiled: what the reference says, doing work only for what changes in a step."""
