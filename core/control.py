"""What the commands and the console say to the master over its Unix socket, and what it answers.

A frame::

    byte 0-3    length of what follows, big-endian
    byte 4      protocol version
    byte 5      kind                 an index of ``REQUESTS`` or ``ANSWERS``
    byte 6-     body                 msgpack array of the fields

A client sends one request at a time. The master answers with one answer, or, where the table says *stream*, with answers until
``Done``; closing the connection ends a stream. ``Failure`` may stand in place of any answer and ends the request.
"""

from collections.abc import Mapping
from types import MappingProxyType

from .control_answers import (
    Done,
    EventNote,
    Failure,
    FunctionsShown,
    GrainsShown,
    JobCancelled,
    JobCreated,
    JobForgotten,
    JobList,
    JobsDeleted,
    JobsPurged,
    JobSummary,
    KeyList,
    MasterStatus,
    MinionPinged,
    MinionRow,
    OutputPart,
    TargetPreview,
    TargetResult,
    TargetSilent,
)
from .control_requests import (
    AskStatus,
    CancelJob,
    ChangeKeys,
    DeleteJobs,
    FollowEvents,
    ListJobs,
    ListKeys,
    ListMinions,
    PingMinion,
    PreviewTarget,
    PurgeJobs,
    ReadOutput,
    ShowFunctions,
    ShowGrains,
    ShowJob,
    Submit,
    UploadStdin,
    Watch,
)

CONTROL_VERSION = 1
CONTROL_HEADER_BYTES = 6
#: A request carries at most one job's arguments, or a part of its stdin.
REQUEST_LIMIT_BYTES = 2 * 1024 * 1024
STDIN_PART_BYTES = 1024 * 1024
#: The longest stdin that a master may be set to take: it is in memory whole from the command to the job cache.
STDIN_LIMIT_MOST_BYTES = 64 * 1024 * 1024
#: An answer carries at most one result: a value at its cap, and two streams of a part each; before those lay in parts, 20 MiB each.
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
#: Open jobs that the row of a minion names.
MINION_JOBS_LIMIT = 10

Request = (
    Submit
    | Watch
    | PreviewTarget
    | ListJobs
    | ShowJob
    | CancelJob
    | ListMinions
    | ShowGrains
    | FollowEvents
    | AskStatus
    | ShowFunctions
    | ListKeys
    | ChangeKeys
    | DeleteJobs
    | PurgeJobs
    | PingMinion
    | UploadStdin
    | ReadOutput
)
Answer = (
    Failure
    | Done
    | JobCreated
    | TargetSilent
    | TargetResult
    | TargetPreview
    | JobSummary
    | JobList
    | JobCancelled
    | MinionRow
    | GrainsShown
    | EventNote
    | MasterStatus
    | FunctionsShown
    | KeyList
    | JobsDeleted
    | JobForgotten
    | JobsPurged
    | MinionPinged
    | OutputPart
)

#: Append only: the position is the kind byte.
REQUESTS: Mapping[int, type[Request]] = MappingProxyType(
    {
        1: Submit,
        2: Watch,
        3: PreviewTarget,
        4: ListJobs,
        5: ShowJob,
        6: CancelJob,
        7: ListMinions,
        8: ShowGrains,
        9: FollowEvents,
        10: AskStatus,
        11: ShowFunctions,
        12: ListKeys,
        13: ChangeKeys,
        14: DeleteJobs,
        15: PurgeJobs,
        16: PingMinion,
        17: UploadStdin,
        18: ReadOutput,
    }
)
ANSWERS: Mapping[int, type[Answer]] = MappingProxyType(
    {
        1: Failure,
        2: Done,
        3: JobCreated,
        4: TargetSilent,
        5: TargetResult,
        6: TargetPreview,
        7: JobSummary,
        8: JobList,
        9: JobCancelled,
        10: MinionRow,
        11: GrainsShown,
        12: EventNote,
        13: MasterStatus,
        14: FunctionsShown,
        15: KeyList,
        16: JobsDeleted,
        17: JobForgotten,
        18: JobsPurged,
        19: MinionPinged,
        20: OutputPart,
    }
)
