"""Values that go to another process and come back whole; all of it is also executed inside kernels."""
