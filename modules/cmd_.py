"""Run a program on the minion, through a shell or without one.

Two ways, and the difference matters: ``cmd.run`` and its relatives hand one text to a shell, with everything that a shell
does to ``$``, ``*``, ``;`` and quotes. ``cmd.exec`` starts a program with the words as they are: no shell, nothing
interpreted, safe for words that came from elsewhere.

Each returns a ``Program``: the supervisor of the job is the program's parent, keeps its output byte by byte and ends its
whole process group when the time is up. An exit code other than 0 is a failure; the output is there all the same.
"""

from typing import Literal

from ..core.functions import CommandFailedError, Program, function


@function()
def run(
    command: str,
    *,
    cwd: str = "",
    env: dict[str, str] | None = None,
    runas: str = "",
    stdin: str = "",
    timeout: float = 0.0,
    success_retcodes: list[int] | None = None,
    shell: str = "/bin/sh",
) -> Program:
    """Run a command in a shell and return its output: stdout, then stderr, without the last newline.

    Args:
        command: one text, as it would be typed at the prompt of the shell.
        cwd: the folder to run in; the home folder of the account when empty.
        env: variables to add to the environment.
        runas: the account to run as; the minion's own when empty.
        stdin: what the command reads; at its end at once when empty.
        timeout: after how many seconds it is stopped with all its processes; 0 for never.
        success_retcodes: exit codes that are a success beside 0.
        shell: the shell.
    """
    return _program(
        _shell_words(shell, command),
        "text",
        cwd=cwd,
        env=env,
        runas=runas,
        stdin=stdin,
        timeout=timeout,
        success_retcodes=success_retcodes,
    )


@function()
def run_all(
    command: str,
    *,
    cwd: str = "",
    env: dict[str, str] | None = None,
    runas: str = "",
    stdin: str = "",
    timeout: float = 0.0,
    success_retcodes: list[int] | None = None,
    shell: str = "/bin/sh",
) -> Program:
    """Run a command in a shell and return its pid, retcode, stdout and stderr.

    Args:
        command: one text, as it would be typed at the prompt of the shell.
        cwd: the folder to run in; the home folder of the account when empty.
        env: variables to add to the environment.
        runas: the account to run as; the minion's own when empty.
        stdin: what the command reads; at its end at once when empty.
        timeout: after how many seconds it is stopped with all its processes; 0 for never.
        success_retcodes: exit codes that are a success beside 0.
        shell: the shell.
    """
    return _program(
        _shell_words(shell, command),
        "all",
        cwd=cwd,
        env=env,
        runas=runas,
        stdin=stdin,
        timeout=timeout,
        success_retcodes=success_retcodes,
    )


@function()
def run_stdout(
    command: str,
    *,
    cwd: str = "",
    env: dict[str, str] | None = None,
    runas: str = "",
    stdin: str = "",
    timeout: float = 0.0,
    success_retcodes: list[int] | None = None,
    shell: str = "/bin/sh",
) -> Program:
    """Run a command in a shell and return its stdout alone.

    Args:
        command: one text, as it would be typed at the prompt of the shell.
        cwd: the folder to run in; the home folder of the account when empty.
        env: variables to add to the environment.
        runas: the account to run as; the minion's own when empty.
        stdin: what the command reads; at its end at once when empty.
        timeout: after how many seconds it is stopped with all its processes; 0 for never.
        success_retcodes: exit codes that are a success beside 0.
        shell: the shell.
    """
    return _program(
        _shell_words(shell, command),
        "stdout",
        cwd=cwd,
        env=env,
        runas=runas,
        stdin=stdin,
        timeout=timeout,
        success_retcodes=success_retcodes,
    )


@function()
def run_stderr(
    command: str,
    *,
    cwd: str = "",
    env: dict[str, str] | None = None,
    runas: str = "",
    stdin: str = "",
    timeout: float = 0.0,
    success_retcodes: list[int] | None = None,
    shell: str = "/bin/sh",
) -> Program:
    """Run a command in a shell and return its stderr alone.

    Args:
        command: one text, as it would be typed at the prompt of the shell.
        cwd: the folder to run in; the home folder of the account when empty.
        env: variables to add to the environment.
        runas: the account to run as; the minion's own when empty.
        stdin: what the command reads; at its end at once when empty.
        timeout: after how many seconds it is stopped with all its processes; 0 for never.
        success_retcodes: exit codes that are a success beside 0.
        shell: the shell.
    """
    return _program(
        _shell_words(shell, command),
        "stderr",
        cwd=cwd,
        env=env,
        runas=runas,
        stdin=stdin,
        timeout=timeout,
        success_retcodes=success_retcodes,
    )


@function()
def retcode(
    command: str,
    *,
    cwd: str = "",
    env: dict[str, str] | None = None,
    runas: str = "",
    stdin: str = "",
    timeout: float = 0.0,
    success_retcodes: list[int] | None = None,
    shell: str = "/bin/sh",
) -> Program:
    """Run a command in a shell and return its exit code; one other than 0 is a failure all the same.

    Args:
        command: one text, as it would be typed at the prompt of the shell.
        cwd: the folder to run in; the home folder of the account when empty.
        env: variables to add to the environment.
        runas: the account to run as; the minion's own when empty.
        stdin: what the command reads; at its end at once when empty.
        timeout: after how many seconds it is stopped with all its processes; 0 for never.
        success_retcodes: exit codes that are a success beside 0.
        shell: the shell.
    """
    return _program(
        _shell_words(shell, command),
        "retcode",
        cwd=cwd,
        env=env,
        runas=runas,
        stdin=stdin,
        timeout=timeout,
        success_retcodes=success_retcodes,
    )


@function(name="shell")
def run_in_shell(
    command: str,
    shell: str = "/bin/sh",
    *,
    cwd: str = "",
    env: dict[str, str] | None = None,
    runas: str = "",
    stdin: str = "",
    timeout: float = 0.0,
    success_retcodes: list[int] | None = None,
) -> Program:
    """Run a command in the shell that is named, such as /bin/bash, and return its output as cmd.run does.

    Args:
        command: one text, as it would be typed at the prompt of the shell.
        shell: the shell.
        cwd: the folder to run in; the home folder of the account when empty.
        env: variables to add to the environment.
        runas: the account to run as; the minion's own when empty.
        stdin: what the command reads; at its end at once when empty.
        timeout: after how many seconds it is stopped with all its processes; 0 for never.
        success_retcodes: exit codes that are a success beside 0.
    """
    return _program(
        _shell_words(shell, command),
        "text",
        cwd=cwd,
        env=env,
        runas=runas,
        stdin=stdin,
        timeout=timeout,
        success_retcodes=success_retcodes,
    )


@function(name="exec")
def execute(
    program: str,
    *arguments: str,
    cwd: str = "",
    env: dict[str, str] | None = None,
    runas: str = "",
    stdin: str = "",
    timeout: float = 0.0,
    success_retcodes: list[int] | None = None,
) -> Program:
    """Run a program without a shell and return its output: stdout, then stderr, without the last newline.

    Args:
        program: its path, or its name in one of the folders of PATH.
        arguments: its arguments, each as it is.
        cwd: the folder to run in; the home folder of the account when empty.
        env: variables to add to the environment.
        runas: the account to run as; the minion's own when empty.
        stdin: what the program reads; at its end at once when empty.
        timeout: after how many seconds it is stopped with all its processes; 0 for never.
        success_retcodes: exit codes that are a success beside 0.
    """
    if not program:
        raise CommandFailedError("the name of the program is empty")
    return _program(
        (program, *arguments),
        "text",
        cwd=cwd,
        env=env,
        runas=runas,
        stdin=stdin,
        timeout=timeout,
        success_retcodes=success_retcodes,
    )


@function(reads=True)
def which(name: str) -> str | None:
    """Find a program in the folders of the minion's PATH: its path, or null.

    Args:
        name: the program, such as 'tar'; with a '/' in it, the file itself is looked at.
    """
    from shutil import which as find_program

    return find_program(name)


@function(reads=True)
def has_exec(name: str) -> bool:
    """Tell whether there is a program of that name in the folders of the minion's PATH.

    Args:
        name: the program, such as 'tar'; with a '/' in it, the file itself is looked at.
    """
    return which(name) is not None


def _shell_words(shell: str, command: str) -> tuple[str, ...]:
    if not shell:
        raise CommandFailedError("the name of the shell is empty")
    return (shell, "-c", command)


def _program(
    words: tuple[str, ...],
    answer: Literal["text", "stdout", "stderr", "retcode", "all"],
    *,
    cwd: str,
    env: dict[str, str] | None,
    runas: str,
    stdin: str,
    timeout: float,
    success_retcodes: list[int] | None,
) -> Program:
    """Build the program, refusing here what the kernel would refuse with a less helpful word."""
    variables = tuple((env or {}).items())
    if any("\0" in text for text in (*words, cwd, *(part for pair in variables for part in pair))):
        raise CommandFailedError("a NUL character cannot be part of a command, a folder or a variable")
    for name, _ in variables:
        if not name or "=" in name:
            raise CommandFailedError(f"{name[:140]!r} cannot name a variable of the environment")
    if not 0.0 <= timeout < float("inf"):
        raise CommandFailedError(f"a timeout of {timeout} seconds makes no sense: 0 is for none")
    return Program(
        words=words,
        cwd=cwd,
        env=variables,
        runas=runas,
        stdin=stdin.encode("utf-8", "surrogateescape"),
        timeout_seconds=timeout,
        success_retcodes=(0, *(success_retcodes or ())),
        answer=answer,
    )
