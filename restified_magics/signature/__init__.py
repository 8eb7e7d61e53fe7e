"""The parameters of a notebook, read from its source without running it."""
