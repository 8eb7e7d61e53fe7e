"""What a call is, whatever runs it: a notebook, its Model, the result and the ways to tell it."""
