"""Which control connections watch which job. Pure."""

from ..core.names import Jid


class Watchers:
    """Who is told of the results of a job as they are stored."""

    def __init__(self) -> None:
        self._of_job: dict[Jid, set[int]] = {}
        self._of_connection: dict[int, Jid] = {}

    def add(self, connection: int, jid: Jid) -> None:
        """This connection watches this job, and no other any more."""
        self.remove(connection)
        self._of_job.setdefault(jid, set()).add(connection)
        self._of_connection[connection] = jid

    def remove(self, connection: int) -> None:
        """This connection has gone, or its watch is over."""
        jid = self._of_connection.pop(connection, None)
        if jid is not None:
            watching = self._of_job[jid]
            watching.discard(connection)
            if not watching:
                del self._of_job[jid]

    def of(self, jid: Jid) -> tuple[int, ...]:
        """The connections that watch a job."""
        return tuple(self._of_job.get(jid, ()))

    def finish(self, jid: Jid) -> tuple[int, ...]:
        """The job has ended: forget its watchers and return them."""
        watching = tuple(self._of_job.pop(jid, ()))
        for connection in watching:
            del self._of_connection[connection]
        return watching
