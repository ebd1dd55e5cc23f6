"""Programs run here and now: their output, their exit codes, and what is said of those that cannot run."""

import os
import pwd
import sys
from pathlib import Path

import pytest

from fleet.core.functions import Program
from fleet.core.outcome import Outcome, OutcomeKind
from fleet.minion.child import Child, Limits
from fleet.minion.job_records import StartedProgram
from fleet.minion.program import ProgramResult, become_program, run_program

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another account")


def run(*words: str, **fields: object) -> ProgramResult:
    return run_program(Program(words, **fields))  # type: ignore[arg-type]


def python(script: str, **fields: object) -> ProgramResult:
    return run(sys.executable, "-c", script, **fields)


def test_output_is_kept_byte_by_byte_and_apart() -> None:
    script = r"import os; os.write(1, b' a\0\xff\r\n\n  '); os.write(2, b'no newline')"
    result = python(script)
    assert (result.stdout, result.stderr) == (b" a\0\xff\r\n\n  ", b"no newline")
    assert result.outcome == Outcome(OutcomeKind.OK, has_value=True, value_from="text", retcode=0)


def test_nothing_between_the_words_and_the_program_reads_them() -> None:
    assert run("printf", "%s|", "$HOME", "a b", "*", "").stdout == b"$HOME|a b|*||"


def test_an_exit_code_is_a_failure_that_says_so_unless_it_is_named_a_success() -> None:
    failed = run("sh", "-c", "echo so; exit 3")
    assert failed.outcome == Outcome(OutcomeKind.FAILED, "exit code 3", True, None, "text", 3)
    assert failed.stdout == b"so\n"
    assert run("sh", "-c", "exit 3", success_retcodes=(0, 3)).outcome.kind is OutcomeKind.OK


def test_a_signal_is_minus_its_number_and_is_named() -> None:
    outcome = run("sh", "-c", "kill -KILL $$").outcome
    assert (outcome.retcode, outcome.message) == (-9, "ended by signal 9 (SIGKILL)")


@pytest.mark.parametrize("answer", ["text", "stdout", "stderr"])
def test_a_value_that_is_the_output_does_not_travel_twice(answer: str) -> None:
    outcome = run("echo", "x", answer=answer).outcome
    assert (outcome.has_value, outcome.value, outcome.value_from) == (True, None, answer)


def test_the_answer_may_be_the_exit_code_also_of_a_failure() -> None:
    assert run("true", answer="retcode").outcome.value == 0
    assert run("sh", "-c", "exit 3", answer="retcode").outcome.value == 3


def test_the_answer_may_be_everything() -> None:
    result = run("sh", "-c", r"echo $$; printf '\377' >&2; exit 1", answer="all")
    assert result.outcome.value == {
        "pid": int(result.stdout),
        "retcode": 1,
        "stdout": result.stdout.decode(),
        "stderr": "\N{REPLACEMENT CHARACTER}",
    }


def test_stdin_of_any_size_arrives_whole_and_none_is_at_its_end_at_once() -> None:
    data = os.urandom(3 * 1024 * 1024)
    assert run("cat", stdin=data).stdout == data
    assert run("cat").stdout == b""


def test_a_program_is_not_given_two_of_them() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        become_program(Program(("cat",), stdin=b"mine"), writing, has_stdin=True)
        os._exit(7)
    _, status = os.waitpid(pid, 0)
    os.close(writing)
    with open(reading, "rb") as said:
        assert b"the job has a stdin, and its function gives the program another one" in said.read()
    assert os.waitstatus_to_exitcode(status) == 7


def test_stdin_that_nobody_reads_holds_nothing_up() -> None:
    assert run("true", stdin=bytes(3 * 1024 * 1024)).outcome.retcode == 0


def test_a_missing_program_is_unavailable() -> None:
    outcome = run("no-such-program").outcome
    assert outcome == Outcome(OutcomeKind.UNAVAILABLE, "cannot run 'no-such-program': it is not in PATH", retcode=127)
    assert "is missing" in run("/no/such").outcome.message


def test_a_missing_interpreter_is_said_to_be_missing(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    outcome = run(str(script)).outcome
    assert (outcome.kind, outcome.retcode) == (OutcomeKind.UNAVAILABLE, 127)
    assert "the interpreter that it names, is missing" in outcome.message


def test_what_cannot_be_executed_says_why(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    outcome = run(str(script)).outcome
    assert outcome == Outcome(OutcomeKind.FAILED, f"cannot run {str(script)!r}: permission denied", retcode=126)
    script.chmod(0o755)
    assert "no program, nor a script that names its interpreter" in run(str(script)).outcome.message


@pytest.mark.parametrize("words", [(), ("",), ("a\0b",), ("echo", "a\0b"), ("echo", "x" * 200_000)])
def test_words_that_no_program_can_have_are_a_failure_and_no_crash(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.outcome.kind is OutcomeKind.FAILED
    assert result.outcome.message
    assert result.stderr == b""


def test_the_folder_is_the_home_unless_one_is_given(tmp_path: Path) -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    home = home if os.access(home, os.X_OK) else "/"  # An account may have none.
    assert run("pwd", "-P").stdout.decode() == os.path.realpath(home) + "\n"
    assert run("pwd", "-P", cwd=str(tmp_path)).stdout.decode() == os.path.realpath(tmp_path) + "\n"


def test_a_missing_folder_or_account_starts_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    outcome = run("touch", str(mark), cwd="/no/such").outcome
    assert outcome == Outcome(OutcomeKind.FAILED, "cannot run in '/no/such': no such file or directory")
    outcome = run("touch", str(mark), runas="no-such-account").outcome
    assert outcome == Outcome(OutcomeKind.FAILED, "cannot run as 'no-such-account': there is no such account")
    assert not mark.exists()


def test_variables_are_added_and_those_for_the_minion_itself_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("OLDPWD", "/root")
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.delenv("HOME", raising=False)
    lines = run("env", env=(("A", "b c"), ("EMPTY", ""))).stdout.decode().splitlines()
    assert {"A=b c", "EMPTY=", "KEPT=yes", f"HOME={pwd.getpwuid(os.geteuid()).pw_dir}"} <= set(lines)
    assert not [line for line in lines if line.startswith(("NOTIFY_SOCKET", "OLDPWD"))]


def test_signals_are_as_a_program_expects_them() -> None:
    # Python ignores SIGPIPE; a program that inherited that would go on writing for ever.
    status = run("cat", "/proc/self/status").stdout.decode()
    fields = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    standard = 0x7FFFFFFF  # 1 to 31: the two beyond are libc's own, which no program handles.
    assert int(fields["SigIgn"], 16) & standard == int(fields["SigBlk"], 16) == 0


def test_no_descriptor_is_inherited(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        names = run("ls", "-1", "/proc/self/fd").stdout.split()
    assert names == [b"0", b"1", b"2", b"3"]  # The third is the folder that `ls` reads.


def test_its_own_limit_stops_a_program_also_below_a_longer_one_of_the_job() -> None:
    result = run_program(Program(("sleep", "60"), timeout_seconds=0.2), Limits(timeout_seconds=60))
    assert result.outcome == Outcome(OutcomeKind.TIMED_OUT, "stopped after its limit of 0.2 s", retcode=-15)
    result = run_program(Program(("sleep", "60"), timeout_seconds=60), Limits(timeout_seconds=0.3))
    assert result.outcome.message == "stopped after its limit of 0.3 s"


def test_an_interrupt_at_a_prompt_kills_what_was_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = os.fork()
    if child == 0:
        try:
            os.environ["WATCHER"] = str(os.getpid())
            script = f"sleep 60 & echo $! > {pid_file}; kill -INT $WATCHER; wait"
            run_program(Program(("sh", "-c", script)))
        except KeyboardInterrupt:
            os._exit(130)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert not _runs(int(pid_file.read_text()))


@ROOT_ONLY
@pytest.mark.system
def test_a_program_runs_as_another_account_with_its_groups_and_home(request: pytest.FixtureRequest) -> None:
    account = pwd.getpwnam("nobody")
    before = os.getgroups()
    os.setgroups([*before, 4])  # Which the other account must not keep.
    request.addfinalizer(lambda: os.setgroups(before))
    lines = run("sh", "-c", "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; pwd", runas="nobody").stdout.splitlines()
    groups = sorted(os.getgrouplist("nobody", account.pw_gid))
    assert [int(line) for line in lines[:2]] == [account.pw_uid, account.pw_gid]
    assert sorted(map(int, lines[2].split())) == groups
    assert lines[3].decode() == f"{account.pw_dir} nobody nobody"
    assert lines[4] == (b"/" if not os.path.isdir(account.pw_dir) else account.pw_dir.encode())


@ROOT_ONLY
@pytest.mark.system
def test_a_folder_that_the_account_may_not_enter_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    outcome = run("true", runas="nobody", cwd=str(closed)).outcome
    assert (outcome.kind, outcome.retcode) == (OutcomeKind.FAILED, None)
    assert "permission denied" in outcome.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become every account")
def test_only_root_may_run_a_program_as_another_account() -> None:
    assert "only root may change" in run("true", runas="root").outcome.message


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def started(program: Program) -> list[StartedProgram]:
    told: list[StartedProgram] = []
    child = Child(lambda report: become_program(program, report))
    child.watch(lambda _: None, lambda _: None, Limits(), became=told.append)
    return told


def test_what_a_process_becomes_is_told_with_the_directory_that_it_is_in(tmp_path: Path) -> None:
    (one,) = started(Program(("sh", "-c", "exit 3"), cwd=str(tmp_path)))
    assert (one.name, one.directory, one.command_line) == ("sh", str(tmp_path), "sh -c 'exit 3'")
    (relative,) = started(Program(("true",), cwd="."))
    assert relative.directory == os.path.join(os.getcwd(), ".")


def test_a_long_command_line_is_cut_and_the_program_runs() -> None:
    (one,) = started(Program(("true", "x" * 100_000, "\udc80")))
    assert one.command_line == "true " + "x" * (8192 - 5)


def test_what_cannot_be_executed_is_never_told_to_be_so() -> None:
    assert started(Program(("no-such-program",))) == started(Program(())) == started(Program(("/etc/passwd",))) == []
