"""Which machines a fleet of devices needs: cores, disk, network. Pure.

The model sums what was measured for single requests and samples. docs/evidence/fleet.md says how,
and how far a fleet of a hundred thousand devices was from the model.
"""

import math
from dataclasses import dataclass

DAY_SECONDS = 86_400.0

# What the client does: docs/client.md. Seconds, samples.
LEAST_INTERVAL = 60.0  # a sample waits this long, unless the server asks for a longer time
HEARTBEAT = 1_800.0  # the silence before a heartbeat; the push interval, if that is longer
SHORTENED = 0.9  # clients shorten both by up to a fifth, at random; this is the average factor
MOST_SAMPLES = 500  # in a push
IDLE_CONNECTION = 3.0  # a connection is open for so long after its push

# What is assumed of a deployment with default settings.
BUSY = 0.7  # the share of a server's cores that are busy in the busiest hour
KEPT_DAYS = 8  # seven, and the current day
WINDOWS = 6  # a sample is in an hour, a day and a week, and each is computed twice or more


@dataclass(frozen=True, slots=True)
class Measured:
    """The constants: µs of one core, bytes. docs/evidence/fleet.md has the source of each.

    wire_bytes         on the wire, including the headers of TCP and IP and connecting
    log_bytes          in PostgreSQL's write-ahead log
    disk_bytes         in tables and indexes of a packed day
    window_us_a_sample in PostgreSQL, for one computation of one window
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
    """The assumed devices. Their load is the same all day.

    devices        how many report
    messages       how many reach a device in a day
    receivers      how many devices report a message, on average
    one_in         devices report one message in so many
    push_interval  seconds that the server tells clients to wait between two pushes
    """

    devices: int
    messages: float
    receivers: float
    one_in: int = 1
    push_interval: float = 0.0

    @property
    def interval(self) -> float:
        """The longest time that a sample waits on the device."""
        return max(LEAST_INTERVAL, self.push_interval)

    @property
    def heartbeat(self) -> float:
        """The longest time that a device is silent."""
        return max(HEARTBEAT, self.push_interval)


@dataclass(frozen=True, slots=True)
class Machines:
    """peak: the load of the busiest hour divided by the mean load. cores: of a server."""

    peak: float = 2.0
    cores: int = 8


@dataclass(frozen=True, slots=True)
class Needs:
    """What the fleet needs in the busiest hour.

    requests, samples   per second
    open_connections    at once, if clients disconnect as ours does
    server_cores        cores of servers that are busy with requests
    servers             how many servers have enough cores
    postgres_cores      cores of PostgreSQL that are busy with requests
    window_cores        cores of PostgreSQL that are busy with computing windows
    network             bytes per second on the wire, both ways, without TLS
    log                 bytes per second of PostgreSQL's write-ahead log
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
    """Requests and samples per second of one device, on average.

    A device waits for its first message, then for the interval, then pushes all messages that came.
    While it waits for the first message, it sends heartbeats.
    """
    rate = fleet.messages / fleet.one_in / DAY_SECONDS
    gathers = SHORTENED * fleet.interval
    expected = rate * SHORTENED * fleet.heartbeat  # messages in the time between two heartbeats
    beats = math.exp(-expected) / -math.expm1(-expected)
    pushes = max(1.0, (1 + rate * gathers) / MOST_SAMPLES)
    return (pushes + beats) / (gathers + 1 / rate), rate


def needs_of(fleet: Fleet, machines: Machines = Machines(), measured: Measured = MEASURED) -> Needs:
    """The needs of a fleet, by the model of docs/evidence/fleet.md."""
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
