"""Whether a function can be given the stdin of its job: asked by the master for advice, decided by the minion."""

from .arguments import BoundArguments
from .errors import ArgumentError
from .function_spec import FunctionSpec

#: What a function calls its own parameter for the stdin of the program that it runs.
_OWN_STDIN = "stdin"


def check_stdin_fits(spec: FunctionSpec, bound: BoundArguments, stdin_bytes: int) -> None:
    """See that nothing stands against the stdin of a job.

    Args:
        spec: the function.
        bound: its arguments.
        stdin_bytes: how long the stdin is; 0 for none, which fits everywhere.

    Raises:
        ArgumentError: the function runs where there is no stdin, or is given one by an argument too.
    """
    if not stdin_bytes:
        return
    if spec.instant:
        raise ArgumentError(
            f"{spec.name} reads no stdin: it is instant, so the minion answers it itself, without a process",
            "leave --stdin away",
        )
    if _own_stdin(spec, bound):
        raise ArgumentError(
            f"the job has a stdin, and {spec.name} is given another one by its own argument '{_OWN_STDIN}'",
            "leave one of the two away",
        )


def _own_stdin(spec: FunctionSpec, bound: BoundArguments) -> bool:
    positional = dict(zip((parameter.name for parameter in spec.parameters), bound.positional, strict=False))
    return bool(bound.keyword.get(_OWN_STDIN) or positional.get(_OWN_STDIN))
