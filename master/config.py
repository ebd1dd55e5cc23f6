"""``master.yaml``: every setting with its default, range and meaning."""

from typing import Literal

from ..core.control import STDIN_LIMIT_MOST_BYTES
from ..core.dataclass import dataclass
from ..core.errors import SettingsError
from ..core.outcome import OUTPUT_LIMIT_MOST_BYTES
from ..core.settings import setting


@dataclass(frozen=True, slots=True)
class MasterSettings:
    """The settings of a master."""

    interface: str = setting("0.0.0.0", help="address to listen on; `::` takes IPv6 and IPv4")  # noqa: S104 - minions dial in
    publish_port: int = setting(4605, help="broadcasts to the whole fleet", minimum=1, maximum=65535)
    request_port: int = setting(4606, help="everything else between minions and master", minimum=1, maximum=65535)
    enrol_port: int = setting(
        4607, help="the only port strangers reach: who are you, is my key accepted", minimum=1, maximum=65535
    )
    auto_accept: bool = setting(False, help="accept every new key by itself; for tests and closed networks only")
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", help="what is logged")
    log_file: str = setting("", help="the log with -d or --no-tty; var/log/fleet/master.log when empty")
    heartbeat_seconds: float = setting(
        10.0, help="how often a minion says that its loop lives", minimum=0.2, maximum=300.0
    )
    epoch_seconds: float = setting(3600.0, help="how long one broadcast key is used", minimum=1.0, maximum=86_400.0)
    ttl_seconds: float = setting(
        30.0,
        help="how long a job waits for a minion that is not there, unless --ttl says otherwise",
        minimum=0.0,
        maximum=31_536_000.0,
    )
    output_limit_bytes: int = setting(
        16 * 1024 * 1024,
        help="how much of stdout, and of stderr, of one job on one minion is kept",
        minimum=1024,
        maximum=OUTPUT_LIMIT_MOST_BYTES,
    )
    stdin_limit_bytes: int = setting(
        16 * 1024 * 1024, help="how long the stdin of a job may be", minimum=0, maximum=STDIN_LIMIT_MOST_BYTES
    )
    pending_limit: int = setting(
        1000, help="keys that wait for a decision; beyond it the oldest is dropped", minimum=1, maximum=1_000_000
    )
    unproven_limit: int = setting(
        1024, help="connections to the fleet's ports that have not proved a key", minimum=16, maximum=65_536
    )
    unproven_address_limit: int = setting(512, help="the same from one address", minimum=4, maximum=65_536)
    enrol_connections_limit: int = setting(
        256, help="connections to the enrolment port at once", minimum=4, maximum=4096
    )
    enrol_address_limit: int = setting(64, help="the same from one address", minimum=1, maximum=4096)
    enrol_rate_per_second: float = setting(200.0, help="enrolments begun in a second", minimum=0.1, maximum=10_000.0)
    minion_messages_per_second: float = setting(
        2000.0,
        help="messages of one minion; beyond a burst of ten times that its connection is ended",
        minimum=10.0,
        maximum=1_000_000.0,
    )
    events_limit: int = setting(
        20_000, help="events kept in memory for those who follow", minimum=100, maximum=10_000_000
    )
    control_connections_limit: int = setting(
        64, help="commands and consoles connected at once", minimum=4, maximum=1024
    )
    jobs_age_limit_seconds: float = setting(
        2_592_000.0,
        help="how long a job that has ended stays in the job cache; 0 for ever",
        minimum=0.0,
        maximum=3_153_600_000.0,
    )
    jobs_count_limit: int = setting(
        1_000_000,
        help="how many jobs the cache keeps, the oldest go first; 0 for any number",
        minimum=0,
        maximum=1_000_000_000,
    )
    jobs_bytes_limit: int = setting(
        10 * 1024 * 1024 * 1024,
        help="how much the job cache may hold, the oldest jobs go first; 0 for any size",
        minimum=0,
        maximum=1 << 50,
    )


def check_ports(settings: MasterSettings) -> None:
    """See that each of the three ports is another one.

    Raises:
        SettingsError: two are the same.
    """
    named: dict[int, str] = {}
    for name in ("publish_port", "request_port", "enrol_port"):
        port: int = getattr(settings, name)
        if port in named:
            raise SettingsError(
                f"{named[port]} and {name} are both {port}",
                "each port of the master has a number of its own: master.yaml",
            )
        named[port] = name
