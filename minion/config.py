"""``minion.yaml``: every setting with its default, range and meaning. One line, ``master: NAME``, is enough."""

from typing import Literal

from ..core.dataclass import dataclass
from ..core.settings import setting
from ..core.values import Value


@dataclass(frozen=True, slots=True)
class MinionSettings:
    """The settings of a minion."""

    id: str = setting("", help="the operator's name for this minion; the host name when empty")
    master: tuple[str, ...] = setting(
        ("fleet",), help="HOST or HOST:ENROL_PORT of the master, or a list tried in order"
    )
    master_fingerprint: str = setting(
        "", help="fingerprint of the master (`fleet-master --fingerprint`); without it the first one met is believed"
    )
    grains: dict[str, Value] = setting({}, help="static grains: facts that the operator states")
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", help="what is logged")
    log_file: str = setting("", help="the log with -d or --no-tty; var/log/fleet/minion.log when empty")
    jobs_running_limit: int = setting(
        16, help="how many jobs run at once; the rest wait in order", minimum=1, maximum=1024
    )
    spool_jobs_limit: int = setting(
        2_000, help="how many jobs may wait, run or be unanswered", minimum=1, maximum=4_000
    )
    spool_bytes_limit: int = setting(
        1024 * 1024 * 1024,
        help="how much output may lie here unanswered, room for what runs included",
        minimum=1024 * 1024,
        maximum=1024 * 1024 * 1024 * 1024,
    )
    kill_after_seconds: float = setting(
        5.0, help="from TERM to KILL when a job is stopped", minimum=0.0, maximum=3600.0
    )
