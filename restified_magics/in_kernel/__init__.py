"""Calls in Jupyter kernels."""
