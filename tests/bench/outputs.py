"""Long outputs of ten minions, byte for byte: from the start of the command until all of it has gone to a file.

The floor moves the same bytes as often as they must be moved: ten programs write them to pipes, they are written and synced where
they ran, written and synced once more where they are kept, and read from there into the file of the command.
"""

import base64
import hashlib
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.measuring import Bench, note
from support.fleet import BIN, Fleet

MINIONS = 10
SIZES_MEBIBYTES = (1, 10)
MEBIBYTE = 1024 * 1024
COMMAND = ("fleet", "--out", "raw", "*", "cmd.run", "cat $FLEET_ROOT/output")


def measure_outputs(bench: Bench, fleet: Fleet) -> None:
    """Each minion has an output of its own in each run, so that nothing is stored once for several of them."""
    fleet.start_master()
    fleet.grow(*(f"bench-{number}" for number in range(MINIONS)))
    runs = min(bench.runs, 5)
    for mebibytes in SIZES_MEBIBYTES:
        note(f"{MINIONS} outputs of {mebibytes} MiB")
        seconds, floors = [], []
        for number in range(runs + 1):
            files = _fill(fleet, mebibytes * MEBIBYTE, f"{mebibytes} {number}")
            floor, spent = _floor(fleet.folder, files), _run(fleet, files)
            if number:
                floors.append(floor)
                seconds.append(spent)
        name = f"fleet '*' cmd.run, {MINIONS} minions that write {mebibytes} MiB each"
        bench.tell(name, "s", seconds, sorted(floors)[runs // 2])


def _fill(fleet: Fleet, size_bytes: int, seed: str) -> list[Path]:
    """Give each minion a file of other text that is not all UTF-8; the files in the order in which results are printed."""
    files = []
    for minion in sorted(fleet.minions):
        text = base64.encodebytes(random.Random(f"{seed} {minion}").randbytes(size_bytes))
        file = fleet.minion_root(minion) / "output"
        file.write_bytes(b"\xff\0" + text[: size_bytes - 2])
        files.append(file)
    return files


def _run(fleet: Fleet, files: list[Path]) -> float:
    result = fleet.folder / "printed"
    command, *words = COMMAND
    with result.open("wb") as stdout:
        began = time.monotonic()
        subprocess.run([BIN / command, *words], env=fleet.environment(), stdout=stdout, check=True)
        seconds = time.monotonic() - began
    assert _digest([result]) == _digest(files), "the output of a minion did not arrive as it was written"
    result.unlink()
    return seconds


def _floor(folder: Path, files: list[Path]) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(len(files)) as pool:
        outputs = list(pool.map(_of_a_program, files))
    with (folder / "floor-kept").open("w+b") as kept:
        kept.writelines(outputs)
        kept.flush()
        os.fsync(kept.fileno())
        kept.seek(0)
        (folder / "floor-printed").write_bytes(kept.read())
    seconds = time.monotonic() - began
    for file in folder.glob("floor-*"):
        file.unlink()
    return seconds


def _of_a_program(file: Path) -> bytes:
    """What a program writes to a pipe, written to the disk."""
    output = subprocess.run(["cat", file], stdout=subprocess.PIPE, check=True).stdout
    spool = file.with_name("floor-spool")
    with spool.open("wb") as written:
        written.write(output)
        written.flush()
        os.fsync(written.fileno())
    spool.unlink()
    return output


def _digest(files: list[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()
