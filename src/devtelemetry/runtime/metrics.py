"""All metrics of the service about itself, declared once. Names: docs/metrics.md.

Values of labels are the program's own (reasons, statuses, timeframes), never what a client sent.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess

# The directory in which the processes of one server (`--workers`) keep their values.
# prometheus_client reads the variable when it is imported, so the variable is set before.
SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

REGISTRY = CollectorRegistry()


def exposed_registry() -> CollectorRegistry:
    """The metrics that a scrape shows: those below, summed over the processes of this server."""
    if SHARED_DIRECTORY not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def forget_process(pid: int | None) -> None:
    """Removes the gauges of a process that died from the sums."""
    if SHARED_DIRECTORY in os.environ and pid is not None:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


SAMPLES_ACCEPTED = Counter(
    "devtelemetry_samples_accepted_total",
    "Samples accepted: new, duplicate and dropped ones together.",
    ["interface"],
    registry=REGISTRY,
)
SAMPLES_DUPLICATE = Counter(
    "devtelemetry_samples_duplicate_total",
    "Samples accepted that had been stored before.",
    registry=REGISTRY,
)
SAMPLES_DROPPED = Counter(
    "devtelemetry_samples_dropped_total",
    "Samples accepted but not stored, because their installation opted out or their receiver is "
    "being forgotten.",
    registry=REGISTRY,
)
SAMPLES_UNSAMPLED = Counter(
    "devtelemetry_samples_unsampled_total",
    "Samples accepted but not stored, because the rule of sampling leaves their messages out.",
    registry=REGISTRY,
)
SAMPLES_REJECTED = Counter(
    "devtelemetry_samples_rejected_total",
    "Samples rejected, by reason.",
    ["interface", "reason"],
    registry=REGISTRY,
)
SAMPLES_CONFLICTING = Counter(
    "devtelemetry_samples_conflicting_total",
    "Samples accepted whose sentAt differs from that of the first sample of their message.",
    registry=REGISTRY,
)
SAMPLES_LATE = Counter(
    "devtelemetry_samples_late_total",
    "Samples accepted after their shortest window was settled.",
    registry=REGISTRY,
)
MEMBERSHIPS_IGNORED = Counter(
    "devtelemetry_memberships_ignored_total",
    "Memberships, or times of memberships, in pushes that were ignored because they cannot be "
    "true, by reason.",
    ["reason"],
    registry=REGISTRY,
)
FIELDS_IGNORED = Counter(
    "devtelemetry_fields_ignored_total",
    "Fields in pushes that were ignored because their value cannot be true, by field.",
    ["field"],
    registry=REGISTRY,
)
REPORTS_NOT_KEPT = Counter(
    "devtelemetry_reports_not_kept_total",
    "Other reports of status-go clients. They are not stored, and nothing is computed from them.",
    registry=REGISTRY,
)
REQUESTS = Counter(
    "devtelemetry_requests_total",
    "Ingest requests answered, by gRPC or HTTP status.",
    ["interface", "status"],
    registry=REGISTRY,
)
QUEUE_SAMPLES = Gauge(
    "devtelemetry_ingest_queue_samples",
    "Samples that wait for their commit.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
COMMIT_SECONDS = Histogram(
    "devtelemetry_commit_seconds",
    "Time to write and commit one group of requests.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
COMMIT_SAMPLES = Histogram(
    "devtelemetry_commit_samples",
    "Samples in one group commit.",
    buckets=(1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000, 20_000),
    registry=REGISTRY,
)
WINDOWS_COMPUTED = Counter(
    "devtelemetry_windows_computed_total",
    "Windows computed.",
    ["timeframe", "state"],
    registry=REGISTRY,
)
PLACES_REFUSED = Counter(
    "devtelemetry_places_refused_total",
    "Connections and calls that were refused or closed, because there were too many or they took "
    "too long.",
    ["kind"],
    registry=REGISTRY,
)
WINDOWS_FAILED = Counter(
    "devtelemetry_windows_failed_total",
    "Windows that could not be computed; they are tried again.",
    ["timeframe"],
    registry=REGISTRY,
)
WINDOW_SECONDS = Histogram(
    "devtelemetry_window_seconds",
    "Time to compute one window.",
    ["timeframe"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
WINDOW_LAG_SECONDS = Gauge(
    "devtelemetry_window_lag_seconds",
    "How long the oldest due window has been waiting; 0: none waits.",
    ["timeframe"],
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
DAYS_DROPPED = Counter(
    "devtelemetry_days_dropped_total", "Days of samples cleaned.", registry=REGISTRY
)
PUBLISH_PENDING_WINDOWS = Gauge(
    "devtelemetry_publish_pending_windows",
    "Windows that the store of time series does not have yet, or only in an earlier state.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
PUBLISH_POINTS = Counter(
    "devtelemetry_publish_points_total",
    "Points that the store of time series accepted.",
    registry=REGISTRY,
)
PUBLISH_POINTS_REJECTED = Counter(
    "devtelemetry_publish_points_rejected_total",
    "Points that the store of time series refused for good, by reason.",
    ["reason"],
    registry=REGISTRY,
)
PUBLISH_FAILURES = Counter(
    "devtelemetry_publish_failures_total",
    "Writes that the store of time series did not accept and that are tried again, by reason.",
    ["reason"],
    registry=REGISTRY,
)
PUBLISH_LAST_SUCCESS = Gauge(
    "devtelemetry_publish_last_success_timestamp_seconds",
    "When the store of time series last gave a final answer to a write, in Unix seconds; 0: not "
    "since the start.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
NOTIFY_MESSAGES = Counter(
    "devtelemetry_notify_messages_total",
    "Messages about new and ended problems that were accepted.",
    ["way"],
    registry=REGISTRY,
)
NOTIFY_FAILURES = Counter(
    "devtelemetry_notify_failures_total",
    "Messages about problems that were not accepted and that are tried again.",
    ["way"],
    registry=REGISTRY,
)
JOB_FAILURES = Counter(
    "devtelemetry_job_failures_total",
    "Failed runs of a background job; the job runs again.",
    ["task"],  # not `job`, because Prometheus sets that label itself
    registry=REGISTRY,
)
LOCK_WAIT_SECONDS = Gauge(
    "devtelemetry_lock_wait_seconds",
    "How long the longest current wait for a lock in the database has lasted; 0: nobody waits.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
CLOCK_IN_DOUBT = Gauge(
    "devtelemetry_clock_in_doubt",
    "1 while the server's clock is in doubt: no sample is accepted, no window settled, no day "
    "cleaned.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
