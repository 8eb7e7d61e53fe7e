"""What it costs to call a notebook as a function, measured beside other tools: ``python -m benchmarks``."""
