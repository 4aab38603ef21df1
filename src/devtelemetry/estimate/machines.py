"""What machines a fleet of devices needs: cores, disk, network. Pure.

The model is a sum of what was measured of single requests and samples; docs/evidence/fleet.md says
how, and how far a fleet of a hundred thousand devices was from it.
"""

import math
from dataclasses import dataclass

DAY_SECONDS = 86_400.0

# What the client does: docs/client.md. Seconds, samples.
LEAST_INTERVAL = 60.0  # a sample waits so long, if the server does not ask for more
HEARTBEAT = 1_800.0  # of silence, or the push interval if that is longer
SHORTENED = 0.9  # both are, by up to a fifth: on average to so much
MOST_SAMPLES = 500  # of a push
IDLE_CONNECTION = 3.0  # a connection is open for so long after its push

# What is assumed of a deployment, as its settings are by default.
BUSY = 0.7  # of the cores of a server, in the busiest hour
KEPT_DAYS = 8  # seven, and the one that is not over
WINDOWS = 6  # a sample is in an hour, a day and a week, each computed twice or more


@dataclass(frozen=True, slots=True)
class Measured:
    """The constants: µs of one core, bytes. docs/evidence/fleet.md has the source of each.

    wire_bytes         with the headers of TCP and IP, and with connecting
    log_bytes          of PostgreSQL's write-ahead log
    disk_bytes         of tables and indexes, once a day is packed
    window_us_a_sample in PostgreSQL, for one window
    """

    server_us_a_request: float
    server_us_a_sample: float
    postgres_us_a_request: float
    postgres_us_a_sample: float
    wire_bytes_a_request: float
    wire_bytes_a_sample: float
    log_bytes_a_request: float
    log_bytes_a_sample: float
    disk_bytes_a_sample: float
    disk_bytes_a_message: float
    window_us_a_sample: float


MEASURED = Measured(
    server_us_a_request=1_566,
    server_us_a_sample=51.0,
    postgres_us_a_request=397,
    postgres_us_a_sample=26.8,
    wire_bytes_a_request=1_676,
    wire_bytes_a_sample=210,
    log_bytes_a_request=955,
    log_bytes_a_sample=415,
    disk_bytes_a_sample=130,
    disk_bytes_a_message=230,
    window_us_a_sample=2.44,
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is assumed. It is at work evenly, all day.

    devices        that report
    messages       that reach a device in a day
    receivers      devices that report a message, on average
    one_in         of how many messages one is reported
    push_interval  seconds, that clients are told to wait between two pushes
    """

    devices: int
    messages: float
    receivers: float
    one_in: int = 1
    push_interval: float = 0.0

    @property
    def interval(self) -> float:
        """How long a sample waits on the device at most."""
        return max(LEAST_INTERVAL, self.push_interval)

    @property
    def heartbeat(self) -> float:
        """How long a device is silent at most."""
        return max(HEARTBEAT, self.push_interval)


@dataclass(frozen=True, slots=True)
class Machines:
    """peak: how many times the mean the busiest hour is. cores: of a server."""

    peak: float = 2.0
    cores: int = 8


@dataclass(frozen=True, slots=True)
class Needs:
    """What it takes, in the busiest hour.

    requests, samples   a second
    open_connections    at once, if clients leave as ours does
    server_cores        busy with requests
    servers             that have so many cores
    postgres_cores      likewise busy with requests
    window_cores        busy with computing windows, in PostgreSQL
    network             bytes a second on the wire, both ways, without TLS
    log                 bytes a second that PostgreSQL writes to its log
    disk                bytes of all samples that are kept
    """

    requests: float
    samples: float
    open_connections: float
    server_cores: float
    servers: int
    postgres_cores: float
    window_cores: float
    network: float
    log: float
    disk: float


def requests_of(fleet: Fleet) -> tuple[float, float]:
    """Requests and samples a second of one device, on average.

    It waits for its first message, then for the interval, then pushes all that came. While it waits
    for the first one it sends heartbeats.
    """
    rate = fleet.messages / fleet.one_in / DAY_SECONDS
    gathers = SHORTENED * fleet.interval
    expected = rate * SHORTENED * fleet.heartbeat  # messages in the time between two heartbeats
    beats = math.exp(-expected) / -math.expm1(-expected)
    pushes = max(1.0, (1 + rate * gathers) / MOST_SAMPLES)
    return (pushes + beats) / (gathers + 1 / rate), rate


def needs_of(fleet: Fleet, machines: Machines = Machines(), measured: Measured = MEASURED) -> Needs:
    """By the model of docs/evidence/fleet.md."""
    devices = fleet.devices * machines.peak
    requests, samples = (devices * one for one in requests_of(fleet))

    def sums(a_request: float, a_sample: float) -> float:
        return requests * a_request + samples * a_sample

    m = measured
    server_cores = sums(m.server_us_a_request, m.server_us_a_sample) / 1e6
    return Needs(
        requests=requests,
        samples=samples,
        open_connections=requests * IDLE_CONNECTION,
        server_cores=server_cores,
        servers=math.ceil(server_cores / (machines.cores * BUSY)),
        postgres_cores=sums(m.postgres_us_a_request, m.postgres_us_a_sample) / 1e6,
        window_cores=samples * WINDOWS * m.window_us_a_sample / 1e6,
        network=sums(m.wire_bytes_a_request, m.wire_bytes_a_sample),
        log=sums(m.log_bytes_a_request, m.log_bytes_a_sample),
        disk=samples
        / machines.peak
        * (DAY_SECONDS * KEPT_DAYS)
        * (m.disk_bytes_a_sample + m.disk_bytes_a_message / fleet.receivers),
    )
