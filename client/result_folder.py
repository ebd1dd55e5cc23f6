"""``--out-dir``: a file a minion in a folder that holds nothing else, instead of the document on stdout."""

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Self

from ..core.errors import OutputError
from ..core.names import check_minion_id
from ..core.nested import nested_lines
from .documents import portable
from .output import json_document, json_line, yaml_document
from .result_file import FOLDER, NEW_FILE, cannot_write
from .results import MinionResult


class ResultFolder:
    """A folder: new (then made here, mode 0700), or empty and the caller's alone. Its files have mode 0600.

    An empty one alone, so that what lies there afterwards is of one job, and nothing is replaced or written through a link;
    one where nobody else may write, so that what lies there is what the minions said. Like a file it is opened before a job is
    started.

    Raises:
        OutputError: it cannot be written to, is a link, holds something, or is open to others.
    """

    def __init__(self, path: str) -> None:
        self._path = path.rstrip("/") or "/"
        with cannot_write(path), ExitStack() as undo:
            if os.path.islink(self._path):
                raise OutputError(f"cannot write to {path!r}: it is a symbolic link", "name the folder itself")
            with suppress(FileExistsError):
                os.mkdir(self._path, 0o700)
                undo.callback(self._remove_if_empty)
            self._folder = os.open(self._path, FOLDER | os.O_NOFOLLOW)
            undo.callback(os.close, self._folder)
            if os.listdir(self._folder):
                raise OutputError(f"cannot write to {path!r}: it is not empty", "name a new or an empty folder")
            found = os.fstat(self._folder)
            if found.st_uid != os.geteuid():
                raise OutputError(
                    f"cannot write to {path!r}: it belongs to another account, which could forge the results",
                    "name a new folder: it is made",
                )
            if found.st_mode & 0o022:
                raise OutputError(
                    f"cannot write to {path!r}: other accounts may write there, and could forge the results",
                    "name a new folder: it is made; or: chmod go-w FOLDER",
                )
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=self._folder):
                raise OutputError(
                    f"cannot write to {path!r}: this account may not", "choose a place that this account may write to"
                )
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def write(self, results: Iterable[MinionResult], form: str) -> str:
        """Write the files of every minion that has something, and say in a line how many there were.

        What a program wrote to stdout goes byte for byte into the file that has the minion's id as its name, any other value
        in the form; what was written to stderr, if anything, into ``ID~stderr``, which no minion can have as its id.

        Raises:
            OSError: a file could not be written; those before it are complete.
        """
        shown = list(results)
        for result in shown:
            check_minion_id(result.minion)
        count = 0
        for result in shown:
            content = _content(result, form)
            if content is None:
                continue
            self._write(result.minion, content)
            if result.stderr:
                self._write(f"{result.minion}~stderr", result.stderr)
            count += 1
        rest = f"; {len(shown) - count:,} had nothing to write" if count < len(shown) else ""
        return f"{count:,} minion{'' if count == 1 else 's'} written to {self._path}{rest}"

    def _write(self, name: str, content: bytes) -> None:
        descriptor = os.open(name, NEW_FILE, 0o600, dir_fd=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except BaseException:
            # Half a file would be taken for a whole one.
            with suppress(OSError):
                os.unlink(name, dir_fd=self._folder)
            raise

    def _remove_if_empty(self) -> None:
        with suppress(OSError):
            os.rmdir(self._path)


def _content(result: MinionResult, form: str) -> bytes | None:
    """Give what goes into the file of a minion; None when it has neither a value nor output."""
    if result.value_from or not result.has_value:
        return result.stdout if result.has_value or result.stdout or result.stderr else None
    value = portable(result.value)
    match form:
        case "json":
            text = json_document(value)
        case "yaml":
            text = yaml_document(value)
        case "jsonl":
            text = json_line(value)
        case "raw":
            text = f"{value}\n" if isinstance(value, str) else json_line(value)
        case _:
            text = "".join(f"{line}\n" for line in nested_lines(result.value))
    return text.encode("utf-8", "backslashreplace")
