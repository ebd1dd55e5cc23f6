"""Which control connections watch which job. Pure."""

from ..core.names import Jid


class Watchers:
    """Who is told of the results of a job as they are stored."""

    def __init__(self) -> None:
        self._of_job: dict[Jid, set[int]] = {}
        self._of_connection: dict[int, Jid] = {}
        self._without_output: set[int] = set()

    def add(self, connection: int, jid: Jid, *, has_output: bool = True) -> None:
        """This connection watches this job, and no other any more; with the outputs or without."""
        self.remove(connection)
        if not has_output:
            self._without_output.add(connection)
        self._of_job.setdefault(jid, set()).add(connection)
        self._of_connection[connection] = jid

    def remove(self, connection: int) -> None:
        """This connection has gone, or its watch is over."""
        jid = self._of_connection.pop(connection, None)
        self._without_output.discard(connection)
        if jid is not None:
            watching = self._of_job[jid]
            watching.discard(connection)
            if not watching:
                del self._of_job[jid]

    def of(self, jid: Jid) -> tuple[int, ...]:
        """The connections that watch a job."""
        return tuple(self._of_job.get(jid, ()))

    def wants_output(self, connection: int) -> bool:
        """Tell whether this connection is to be told the outputs."""
        return connection not in self._without_output

    def finish(self, jid: Jid) -> tuple[int, ...]:
        """The job has ended: forget its watchers and return them."""
        watching = tuple(self._of_job.pop(jid, ()))
        for connection in watching:
            del self._of_connection[connection]
            self._without_output.discard(connection)
        return watching
