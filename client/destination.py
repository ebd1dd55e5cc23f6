"""Where the results of a job go: to stdout, into a file (``--out-file``), or into a folder (``--out-dir``)."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from ..core.errors import OutputError
from ..core.names import Jid
from .report import Report
from .result_file import ResultFile, advice
from .result_folder import ResultFolder
from .shown import Shown


class Destination:
    """One of the three; to be opened, as a ``with`` block, before a job is started.

    Attributes:
        folder: the folder; None for the other two. A file takes the place of stdout for the time of the block.

    Raises:
        OutputError: file or folder cannot be written to, when the block is entered.
    """

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._stack = ExitStack()
        self._file: ResultFile | None = None
        self.folder: ResultFolder | None = None

    def __enter__(self) -> Self:
        if self._shown.folder:
            self.folder = self._stack.enter_context(ResultFolder(self._shown.folder))
        elif self._shown.file:
            self._file = self._stack.enter_context(ResultFile(self._shown.file))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def of_job(self, jid: Jid) -> Iterator[None]:
        """Turn the failure to write results into an error that says where they still are; a reader that went away is none.

        Raises:
            OutputError: they could not be written.
        """
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as problem:
            place = self._shown.folder or self._shown.file or "stdout"
            raise OutputError(
                f"the results cannot be written to {place}: {problem.strerror or problem}",
                f"{advice(problem)}; nothing is lost: fleet jobs show {jid}",
            ) from problem

    def complete(self, report: Report) -> None:
        """Have everything written: where a failure can still be told, and a file takes its place.

        Raises:
            OSError: it cannot be written.
        """
        sys.stdout.flush()
        if self._file is not None:
            self._file.commit()
            report.say(f"results written to {self._shown.file}")
