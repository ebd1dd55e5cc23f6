"""How a request on the control socket is answered, and how it fails: shared by everything that answers one."""

import logging
from collections.abc import Iterable

from ..core.control import Answer
from ..core.control_answers import Done, Failure
from ..core.dataclass import dataclass
from ..core.errors import FleetError
from .control_port import ControlPort

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replies:
    """Answers control connections; one that has gone takes nothing, and that is all."""

    control: ControlPort

    def stream(self, connection: int, answer: Answer) -> bool:
        """Give one answer of several; False when the connection has gone."""
        return self.control.send(connection, answer)

    def stream_several(self, connection: int, answers: Iterable[Answer]) -> bool:
        """Give several answers of a stream that are there together; False when the connection has gone."""
        return self.control.send_several(connection, answers)

    def answer(self, connection: int, answer: Answer) -> None:
        """Give the only, or the last, answer."""
        self.control.send(connection, answer)
        self.control.finish(connection)

    def end(self, connection: int) -> None:
        """End a stream."""
        self.answer(connection, Done())

    def fail(self, connection: int, problem: Exception) -> None:
        """Say why the request failed; a bug is logged with its traceback."""
        if isinstance(problem, FleetError):
            self.answer(connection, Failure(type(problem).__name__, problem.message, problem.hint))
            return
        log.error("a request failed: %r", problem, exc_info=problem)
        self.answer(connection, Failure("FleetError", f"the master failed: {problem}", "its log has the traceback"))
