"""Forms and dashboards."""
