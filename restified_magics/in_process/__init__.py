"""Calls in this process."""
