"""A process for every task, and calls in it."""
