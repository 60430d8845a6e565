"""What Prometheus is told."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one server. Each has its description where it is made."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter(
            "stillhouse_requests", "Requests that were answered, refused ones too.", ["path", "status"], registry=own
        )
        self.request_seconds = Histogram(
            "stillhouse_request_seconds", "From a request's arrival to its answer.", buckets=_SECONDS, registry=own
        )
        self.waiting = Gauge("stillhouse_waiting_requests", "Requests not yet with the model.", registry=own)
        self.batch_requests = Histogram(
            "stillhouse_batch_requests", "Requests that the model read together.", buckets=_COUNTS, registry=own
        )
        self.batch_rows = Histogram("stillhouse_batch_rows", "Rows of a batch.", buckets=_COUNTS, registry=own)
        self.batch_seconds = Histogram(
            "stillhouse_batch_seconds", "What the model took for a batch.", buckets=_SECONDS, registry=own
        )
        self.version = Gauge("stillhouse_model_version", "The version that answers now, 0 for none.", registry=own)
        self.loads = Counter("stillhouse_model_loads", "Versions that were loaded, the first too.", registry=own)
        self.failed_looks = Counter(
            "stillhouse_failed_looks",
            "Looks at the registry that failed: it was away, or a version could not be loaded.",
            registry=own,
        )

    def text(self) -> bytes:
        """Return all of them in Prometheus's text format."""
        return generate_latest(self._registry)
