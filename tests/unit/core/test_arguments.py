"""Binding what was given to a function's parameters."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.arguments import BoundArguments, Call, bind, usage_line
from fleet.core.errors import ArgumentError
from fleet.core.function_spec import FunctionSpec, Parameter
from fleet.core.functions import describe, function
from fleet.core.names import FunctionName
from fleet.core.values import Value


@function(reads=True)
def run(
    command: str,
    *,
    cwd: str = "",
    env: dict[str, str] | None = None,
    timeout: float = 0,
    success_retcodes: list[int] = [],  # noqa: B006 -- as an author may write it
    answer: Literal["text", "all"] = "text",
    quiet: bool = False,
) -> list[object]:
    """Run a command.

    Args:
        command: What to run.
        cwd: Where.
        env: Variables.
        timeout: Limit in seconds.
        success_retcodes: Exit codes that are a success.
        answer: Which value.
        quiet: Say nothing.
    """
    return [command, cwd, env, timeout, success_retcodes, answer, quiet]


@function(reads=True)
def execute(program: str, *arguments: str, runas: str | None = None) -> list[object]:
    """Run a program.

    Args:
        program: The program.
        arguments: Its arguments.
        runas: The account.
    """
    return [program, arguments, runas]


@function(reads=True)
def add(first: int, second: int = 10, scale: float = 1.0) -> list[object]:
    """Add.

    Args:
        first: A number.
        second: Another.
        scale: A factor.
    """
    return [first, second, scale]


@function(reads=True)
def rotate(*, password: str) -> list[object]:
    """Rotate.

    Args:
        password: The new one.
    """
    return [password]


RUN = describe(FunctionName("cmd.run"), run)
EXEC = describe(FunctionName("cmd.exec"), execute)
ADD = describe(FunctionName("math.add"), add)
ROTATE = describe(FunctionName("user.rotate"), rotate)


def words(*texts: str) -> Call:
    return Call(words=texts)


@pytest.mark.parametrize(
    ("spec", "call", "bound"),
    [
        (RUN, words("uptime"), BoundArguments(("uptime",), {})),
        (RUN, words('x="a b"; echo "$x" k=v'), BoundArguments(('x="a b"; echo "$x" k=v',), {})),
        (RUN, words("x=1"), BoundArguments(("x=1",), {})),
        (RUN, words("ls", "cwd=/tmp"), BoundArguments(("ls",), {"cwd": "/tmp"})),
        (RUN, words("cwd=/tmp", "ls"), BoundArguments(("ls",), {"cwd": "/tmp"})),
        (RUN, words("command=ls"), BoundArguments((), {"command": "ls"})),
        (RUN, words("ls", "env=A=1,B=2"), BoundArguments(("ls",), {"env": {"A": "1", "B": "2"}})),
        (RUN, words("ls", "env=null", "timeout=5"), BoundArguments(("ls",), {"env": None, "timeout": 5.0})),
        (RUN, words("ls", "success_retcodes=0,1"), BoundArguments(("ls",), {"success_retcodes": [0, 1]})),
        (RUN, words("ls", "cwd="), BoundArguments(("ls",), {"cwd": ""})),
        (RUN, Call(literals=("cwd=/tmp",)), BoundArguments(("cwd=/tmp",), {})),
        (RUN, Call(values=("ls",), options={"timeout": 5}), BoundArguments(("ls",), {"timeout": 5.0})),
        (RUN, Call(words=("cwd=/",), values=("ls",)), BoundArguments(("ls",), {"cwd": "/"})),
        (EXEC, words("ls", "-l", "a=b", "arguments=x"), BoundArguments(("ls", "-l", "a=b", "arguments=x"), {})),
        (EXEC, words("env", "runas=ann", "X=1"), BoundArguments(("env", "X=1"), {"runas": "ann"})),
        (EXEC, Call(words=("ls",), literals=("runas=ann",)), BoundArguments(("ls", "runas=ann"), {})),
        (EXEC, Call(words=("a",), literals=("b",), values=("c",)), BoundArguments(("a", "b", "c"), {})),
        (ADD, words("1"), BoundArguments((1,), {})),
        (ADD, words("1", "scale=2"), BoundArguments((1,), {"scale": 2.0})),
        (ADD, words("second=2", "1"), BoundArguments((1,), {"second": 2})),
        (ADD, Call(words=("1",), options={"second": 2}), BoundArguments((1,), {"second": 2})),
    ],
)
def test_what_fits_is_bound(spec: FunctionSpec, call: Call, bound: BoundArguments) -> None:
    assert bind(spec, call) == bound


@pytest.mark.parametrize(
    ("spec", "call", "message"),
    [
        (RUN, Call(), "cmd.run: command is missing, expected text"),
        (RUN, words("ls", "cwd=/", "cwd=/"), "cmd.run: cwd is given twice"),
        (RUN, words("ls", "command=x"), "cmd.run: command is given twice, by position and by name"),
        (RUN, Call(words=("ls", "cwd=/"), options={"cwd": "/"}), "cmd.run: cwd is given twice"),
        (RUN, words("ls", "-l"), "cmd.run: takes one argument by position, got 2; '-l' is left over"),
        (RUN, words("ls", "timeot=5"), "cmd.run: there is no argument 'timeot'; did you mean timeout?"),
        (RUN, words("ls", "zzz=5"), "cmd.run: there is no argument 'zzz'"),
        (RUN, Call(words=("ls",), options={"Cwd": "/"}), "cmd.run: there is no argument 'Cwd'; did you mean cwd?"),
        (
            RUN,
            Call(words=("ls",), literals=("x y",)),
            "cmd.run: takes one argument by position, got 2; 'x y' is left over",
        ),
        (RUN, words("ls", "timeout=five"), "cmd.run: timeout: expected a number, got 'five'"),
        (RUN, words("ls", "quiet=yes"), "cmd.run: quiet: expected true or false, got 'yes'"),
        (RUN, words("ls", "answer=json"), "cmd.run: answer: expected one of text, all, got 'json'"),
        (
            RUN,
            words("ls", "env=A"),
            "cmd.run: env: expected a mapping from text to text, or null, got 'A' ('A' is no key",
        ),
        (RUN, Call(values=(1,)), "cmd.run: command: expected text, got 1"),
        (RUN, Call(values=("ls",), options={"timeout": "5"}), "cmd.run: timeout: expected a number, got '5'"),
        (ADD, words("1", "2", "3", "4"), "math.add: takes 3 arguments by position, got 4; '4' is left over"),
        (ADD, words("1", "2", "second=3"), "math.add: second is given twice, by position and by name"),
        (ADD, words("010"), "math.add: first: expected a whole number, got '010'"),
        (ADD, words("second=1"), "math.add: first is missing, expected a whole number"),
        (EXEC, words(), "cmd.exec: program is missing, expected text"),
        (EXEC, words("x", "program=ls"), "cmd.exec: program is given twice, by position and by name"),
        (EXEC, Call(options={"program": "ls", "arguments": ["a"]}), "cmd.exec: arguments is given by position only"),
        (ROTATE, words("secret"), "user.rotate: takes no argument by position, got 1; 'secret' is left over"),
        (ROTATE, words(), "user.rotate: password is missing, expected text"),
    ],
)
def test_what_does_not_fit_is_refused_with_function_parameter_and_reason(
    spec: FunctionSpec, call: Call, message: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        bind(spec, call)
    assert caught.value.message.startswith(message)
    assert caught.value.hint == f"usage: {usage_line(spec)}"


def test_the_usage_line_reads_like_a_command() -> None:
    assert usage_line(RUN) == (
        "cmd.run command [cwd=TEXT] [env=KEY=TEXT,…] [timeout=SECONDS] [success_retcodes=NUMBER,…] [answer=text|all]"
        " [quiet=true|false]"
    )
    assert usage_line(EXEC) == "cmd.exec program [arguments…] [runas=TEXT]"
    assert usage_line(ADD) == "math.add first [second=NUMBER] [scale=NUMBER]"
    assert usage_line(ROTATE) == "user.rotate password=TEXT"


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ArgumentError) as caught:
        bind(ADD, words("x" * 10_000))
    assert len(caught.value.message) < 200


def test_a_signature_of_a_newer_release_is_refused_and_does_not_crash() -> None:
    spec = FunctionSpec(FunctionName("new.one"), "New.", "", (Parameter("moment", "datetime", required=True),))
    with pytest.raises(ArgumentError, match="does not know"):
        bind(spec, words("now"))
    assert usage_line(spec) == "new.one moment"


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5), st.lists(st.text(max_size=8), max_size=3))
def test_words_of_a_variadic_function_arrive_as_they_were_written(plain_words: list[str], literals: list[str]) -> None:
    kept = [word for word in plain_words if word.partition("=")[0] not in ("program", "runas")]
    if not kept:
        kept = ["x"]
    bound = bind(EXEC, Call(words=tuple(kept), literals=tuple(literals)))
    assert bound == BoundArguments((*kept, *literals), {})


word_texts = st.one_of(
    st.sampled_from(["1", "2.5", "x", "first=1", "second=2", "scale=3", "second=x", "secnd=2", "null", "", "="]),
    st.text(max_size=4),
)
typed_values: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3)
)
calls = st.builds(
    Call,
    words=st.lists(word_texts, max_size=4).map(tuple),
    literals=st.lists(word_texts, max_size=2).map(tuple),
    values=st.lists(typed_values, max_size=2).map(tuple),
    options=st.dictionaries(st.sampled_from(["first", "second", "scale", "other"]), typed_values, max_size=2),
)


@given(calls)
def test_whatever_is_bound_can_be_called_and_has_the_types_of_the_annotations(call: Call) -> None:
    try:
        bound = bind(ADD, call)
    except ArgumentError as problem:
        assert_message_fits(problem)
        return
    first, second, scale = add(*bound.positional, **bound.keyword)  # type: ignore[arg-type]  # what bind is for
    assert (type(first), type(second), type(scale)) == (int, int, float)


def assert_message_fits(problem: ArgumentError) -> None:
    assert problem.message.startswith("math.add: ")
    assert problem.message.isprintable()


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.permutations([0, 1, 2]))
def test_keyword_words_may_stand_in_any_order(first: int, second: int, order: list[int]) -> None:
    texts = [f"first={first}", f"second={second}", "scale=2"]
    bound = bind(ADD, words(*(texts[index] for index in order)))
    assert bound == BoundArguments((), {"first": first, "second": second, "scale": 2.0})
