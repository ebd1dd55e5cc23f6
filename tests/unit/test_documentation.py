"""The pages say all that scripts and administrators may rely on, and nothing that is not so any more."""

import re
from pathlib import Path

import pytest

from fleet.client.documents import status_document
from fleet.core.control_answers import MasterStatus
from fleet.core.errors import FleetError
from fleet.core.job_states import JobState
from fleet.core.messages import FROM_MASTER, FROM_MINION
from fleet.core.outcome import OutcomeKind
from fleet.modules.catalogue import function_specs
from support.reference import COMMANDS, OUTCOMES, STATES, STATUS, errors, help_of, pages
from support.source import ROOT

PAGES = {file.name: file for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["reference.md", "functions.md"])
def test_a_generated_page_is_what_the_code_says_now(name: str) -> None:
    assert page(name) == pages()[ROOT / "docs" / name], "run `make docs`"


def test_every_option_of_every_command_is_in_the_reference() -> None:
    reference = page("reference.md")
    for command in COMMANDS:
        options = set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", help_of(command)))
        assert {"--help", "--version", "--root"} <= options
        assert {option for option in options if option not in reference} == set()


def test_every_state_outcome_and_error_is_explained() -> None:
    assert set(STATES) == set(JobState)
    assert set(OUTCOMES) == set(OutcomeKind)
    reference = page("reference.md")
    assert [name for name in errors() if f"| `{name}` |" not in reference] == []


def test_every_member_of_the_status_is_explained() -> None:
    document = status_document(MasterStatus("", "", 0, 0, 0, "", {}, {}, {}, {}))
    assert list(STATUS) == list(document)


def test_every_error_says_in_its_first_line_what_it_means_and_has_an_exit_code_of_the_table() -> None:
    for name, error in errors().items():
        assert issubclass(error, FleetError)
        assert (error.__doc__ or "").strip(), name
        assert error.exit_code in {1, 2, 3, 4}, name


def test_every_function_is_on_the_page_of_functions() -> None:
    functions = page("functions.md")
    assert [name for name in function_specs() if f"### {name}\n" not in functions] == []


def test_every_message_on_the_wire_is_in_the_protocol() -> None:
    protocol = page("protocol.md")
    messages = (*FROM_MINION.values(), *FROM_MASTER.values())
    assert [message.__name__ for message in messages if message.__name__ not in protocol] == []


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_between_the_pages_lead_somewhere(name: str) -> None:
    file = PAGES[name]
    for link in re.findall(r"\]\(([^)#\s]+)\)", file.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (file.parent / link).exists(), link


def test_the_readme_names_every_command_of_the_makefile_that_a_newcomer_needs() -> None:
    readme = PAGES["README.md"].read_text(encoding="utf-8")
    for command in ("apt-get install", "make demo", "make test"):
        assert command in readme


def test_the_pages_name_no_file_that_is_not_there() -> None:
    folders = "core|keys|modules|minion|master|client|tests|docs"
    missing = {
        f"{name}: {path}"
        for name, file in PAGES.items()
        for path in re.findall(rf"`((?:{folders})/[\w/]+\.(?:py|md|tsv))`", file.read_text(encoding="utf-8"))
        if not (ROOT / Path(path)).exists()
    }
    assert missing == set()
