import pytest

from fleet.core.function_spec import FunctionSpec, Parameter
from fleet.core.functions import CommandFailedError, Context
from fleet.core.names import FunctionName
from fleet.modules import sys_


def test_the_documentation_of_a_function_shows_signature_words_and_parameters(context: Context) -> None:
    (page,) = sys_.doc(context, "cmd.exec").values()
    assert page.startswith("cmd.exec(program: str, *arguments: str, cwd: str = '', env: dict[str,str]|null = null,")
    assert "without a shell" in page
    assert "  arguments: its arguments, each as it is." in page


def test_functions_are_chosen_by_name_module_and_pattern(context: Context) -> None:
    assert sys_.list_functions(context, "fleetutil") == [
        "fleetutil.find_job",
        "fleetutil.kill_job",
        "fleetutil.running",
    ]
    assert list(sys_.doc(context, "cmd.run", "cmd.run_*")) == [
        "cmd.run",
        "cmd.run_all",
        "cmd.run_stderr",
        "cmd.run_stdout",
    ]
    assert sys_.list_functions(context) == sorted(context.functions())
    assert set(sys_.doc(context)) == set(context.functions())


def test_a_pattern_that_matches_nothing_is_a_failure_that_names_it(context: Context) -> None:
    with pytest.raises(CommandFailedError, match=r"'cmd\.rum' or 'nothing'"):
        sys_.doc(context, "cmd.rum", "nothing")


def test_modules_are_listed_once_and_sorted(context: Context) -> None:
    assert sys_.list_modules(context) == ["cmd", "fleetutil", "grains", "network", "status", "sys", "test"]


def test_parameters_are_returned_as_data(context: Context) -> None:
    assert [(parameter.name, parameter.kind) for parameter in sys_.argspec(context, "test.echo")["test.echo"]] == [
        ("text", "str")
    ]


def test_every_form_of_a_parameter_is_written() -> None:
    spec = FunctionSpec(
        FunctionName("pkg.install"),
        "Install packages.",
        "More about it.",
        (
            Parameter("name", "str", required=True, help="which"),
            Parameter("how", "choice", required=False, default="quick", choices=("quick", "safe"), help="the way"),
            Parameter("hold", "bool", required=False, default=False, keyword_only=True, help="keep"),
            Parameter("version", "str", required=False, optional=True, keyword_only=True, help="exactly this"),
        ),
        disruptive=True,
    )
    assert sys_.signature_of(spec) == (
        "(name: str, how: quick|safe = 'quick', *, hold: bool = False, version: str|null = null)"
    )
    assert sys_.describe_in_words(spec).split("\n\n") == [
        "pkg.install" + sys_.signature_of(spec),
        "Install packages.",
        "More about it.",
        "  name: which\n  how: the way\n  hold: keep\n  version: exactly this",
        "(disruptive: think twice)",
    ]
