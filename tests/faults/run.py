"""``make chaos``: a run by its seed, told on stdout; the exit code is 1 when there is any finding."""

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from faults.disks import unmount_below, why_no_disks
from faults.harness import RunTerms, run
from faults.plan import EVERYWHERE, FaultKind
from faults.site import KEPT
from support.processes import end_marked_processes

_PREFIX = "fleet-chaos-"
_OWNER = "owner"


def main() -> int:
    """Read the command line, make the run, tell it."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (folder / _OWNER).write_text(str(os.getpid()))
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:6.1f} s  {text}\n")

    try:
        terms = RunTerms(
            seed=options.seed,
            seconds=options.seconds,
            minions=options.minions,
            jobs_per_second=options.jobs_per_second,
            why_no_disks=why_no_disks(folder),
            bugs={"*": options.bug},
            kinds=tuple(options.kinds or EVERYWHERE),
        )
        say(f"seed {terms.seed}")
        report = run(folder, terms, say, keeps_state=options.keep)
    finally:
        if options.keep:
            (folder / KEPT).mkdir(exist_ok=True)
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{report.text()}\n{report.line()}\n")
    return 1 if report.findings else 0


def sweep(place: Path) -> list[Path]:
    """Clear away what runs left that were killed themselves: processes, disks, folders. Those that were kept on purpose stay."""
    swept = []
    for folder in place.glob(f"{_PREFIX}*"):
        owner = folder / _OWNER
        if not owner.exists() or Path(f"/proc/{owner.read_text()}").exists():
            continue
        end_marked_processes(folder)
        unmount_below(folder)
        if not (folder / KEPT).exists():
            shutil.rmtree(folder, ignore_errors=True)
            swept.append(folder)
    return swept


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(1_000_000), help="repeats a run; another each time"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are injected")
    parser.add_argument("--minions", type=int, default=6, help="how many; 9 at the most")
    parser.add_argument("--jobs-per-second", type=float, default=4.0)
    parser.add_argument("--kinds", type=FaultKind, nargs="*", help="only these faults")
    parser.add_argument("--bug", default="", help="plant this bug: the run is to find it")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run, and say where it is")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
