"""What Prometheus can ask of calls, in the registry that Jupyter Server shows at ``/metrics``."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["CALLS", "RUNNING", "SECONDS", "WAITING"]

CALLS = Counter("restified_calls", "calls of notebooks over HTTP, by how they ended", ["status"])
SECONDS = Histogram("restified_call_seconds", "seconds that successful calls took, waiting included")
RUNNING = Gauge("restified_calls_running", "calls that run now")
WAITING = Gauge("restified_calls_waiting", "calls that wait for a free place")
