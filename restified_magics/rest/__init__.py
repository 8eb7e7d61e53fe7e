"""Notebooks as REST endpoints: the Jupyter Server extension."""
