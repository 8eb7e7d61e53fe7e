"""One Model over many sets of values."""
