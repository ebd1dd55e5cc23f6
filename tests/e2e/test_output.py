"""What is printed: readable at a terminal, stable in a pipe, one document for programs; and nothing but results on stdout."""

import json
import os
import re

import yaml

from support.fleet import BIN, Fleet
from support.terminal import Terminal


def on_a_terminal(fleet: Fleet, *words: str) -> str:
    """Run ``fleet`` on a terminal, and return what it drew."""
    with Terminal([str(BIN / "fleet"), *words], fleet.environment()) as terminal:
        return terminal.end()[1]


def test_each_minion_has_one_entry_sorted_by_id(three: Fleet) -> None:
    out = three.ok("fleet", "*", "test.ping")
    assert [line.rstrip(":") for line in out.splitlines() if not line.startswith(" ")] == ["db-1", "web-1", "web-2"]
    assert out.lower().count("true") == 3


def test_a_list_is_shown_as_a_list_and_loopback_is_left_out(three: Fleet) -> None:
    out = three.ok("fleet", "web-1", "network.ip_addrs")
    addresses = three.json("fleet", "web-1", "network.ip_addrs")["web-1"]
    assert isinstance(addresses, list)
    assert not any(address.startswith("127.") for address in addresses)
    for address in addresses:
        assert re.search(rf"^\s+- {re.escape(address)}$", out, re.MULTILINE)


def test_lists_and_dictionaries_are_nested_readably(three: Fleet) -> None:
    out = three.ok("fleet", "web-1", "grains.items")
    assert re.search(r"^web-1:$", out, re.MULTILINE)
    assert re.search(r"^\s+roles:\n\s+- web\n\s+- edge$", out, re.MULTILINE), out
    assert re.search(r"^\s+site: berlin$", out, re.MULTILINE), out


def test_the_same_answer_comes_as_json_yaml_and_text(three: Fleet) -> None:
    words = ("web-*", "cmd.run", "echo one; echo two")
    expected = {"web-1": "one\ntwo", "web-2": "one\ntwo"}
    assert json.loads(three.ok("fleet", *words, "--out", "json")) == expected
    assert yaml.safe_load(three.ok("fleet", *words, "--out", "yaml")) == expected
    assert three.ok("fleet", *words, "--out", "txt").splitlines() == [
        "web-1: one",
        "web-1: two",
        "web-2: one",
        "web-2: two",
    ]


def test_a_pipe_gets_plain_ascii_that_grep_can_read(three: Fleet) -> None:
    for words in (("*", "test.ping"), ("minions",), ("jobs", "list", "--function", "test.ping"), ("status",)):
        out = three.ok("fleet", *words)
        assert out.isascii(), out
        assert "\x1b" not in out
        assert "\r" not in out
    assert any(line.split()[:2] == ["web-1", "up"] for line in three.ok("fleet", "minions").splitlines())


def test_a_terminal_gets_identical_answers_folded_and_failures_first(three: Fleet) -> None:
    drawn = on_a_terminal(three, "*", "cmd.run", "case $FLEET_ROOT in *db-1) echo broken; exit 3;; esac; echo fine")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert "web-[1-2] (2)" in plain
    assert plain.rindex("broken") < plain.rindex("fine")


def test_unicode_survives_the_way_there_and_back(three: Fleet) -> None:
    text = "Grüße, 한국어, 日本語, 🚀, ≤ “x”"
    assert three.json("fleet", "web-1", "cmd.run", f"printf %s '{text}'") == {"web-1": text}
    line = three.lines("web-1", "cmd.run", f"printf %s '{text}'")[0]
    assert (line["value"], line["stdout"]) == (text, text)
    assert text in three.ok("fleet", "web-1", "test.echo", text)


def test_bytes_that_are_no_text_are_kept(three: Fleet) -> None:
    line = three.lines("web-1", "cmd.run", r"printf '\377\000\376'")[0]
    assert line["stdout_base64"] == "/wD+"


def test_control_characters_of_a_minion_cannot_reach_the_terminal(three: Fleet) -> None:
    drawn = on_a_terminal(three, "web-1", "cmd.run", r"printf '\033]0;owned\007'")
    assert "\x1b]0;" not in drawn
    assert "owned" in drawn


def test_a_command_says_which_master_and_as_which_user_when_asked(three: Fleet) -> None:
    quiet = three.run("fleet", "web-1", "test.ping")
    verbose = three.run("fleet", "-v", "web-1", "test.ping")
    assert verbose.stdout == quiet.stdout
    assert str(three.master_root / "run/fleet/master.sock") in verbose.stderr
    assert f"uid {os.getuid()}" in verbose.stderr
    assert quiet.stderr == ""


def test_functions_are_named_module_and_function_in_the_listing_and_in_the_log(three: Fleet) -> None:
    listed = three.ok("fleet", "doc")
    for name in ("cmd.run", "grains.items", "test.ping", "network.ip_addrs"):
        assert re.search(rf"^\s*{re.escape(name)}\b", listed, re.MULTILINE), name
    jid = three.submit("web-1", "cmd.run", "true")
    three.wait_for_state(jid, "web-1", "succeeded")
    line = next(line for line in three.minions["web-1"].log().splitlines() if jid in line)
    assert "cmd.run" in line


def test_the_log_of_a_minion_names_user_function_and_job(three: Fleet) -> None:
    jid = three.submit("web-2", "cmd.run", "true")
    three.wait_for_state(jid, "web-2", "succeeded")
    lines = [line for line in three.minions["web-2"].log().splitlines() if jid in line]
    assert any("cmd.run" in line and three.job(jid)["user"].split()[0] in line for line in lines), lines


def test_a_summary_is_a_document_too(three: Fleet) -> None:
    lines = [json.loads(line) for line in three.ok("fleet", "*", "test.ping", "--out", "jsonl").splitlines()]
    assert list(lines[-1]) == ["summary"]
    assert {line["minion"] for line in lines[:-1]} == {"db-1", "web-1", "web-2"}
    assert {"jid", "minion", "state", "reason", "retcode", "value", "stdout", "stderr", "duration_ms"} <= set(lines[0])


def test_output_that_was_cut_is_said_to_be_cut_whatever_the_form(fleet: Fleet) -> None:
    fleet.start_master(output_limit_bytes=1024)
    fleet.grow("web-1")
    words = ("fleet", "web-1", "cmd.run", "head -c 17000 /dev/zero | tr '\\0' x", "--out")
    for form in ("raw", "json", "yaml", "txt"):
        done = fleet.run(*words, form)
        assert done.code == 0
        assert "web-1: stdout was cut: 1,024 of 17,000 bytes are kept\n" in done.stderr
        assert "was cut" not in done.stdout
    done = fleet.run(*words[:-1], "--out-dir", str(fleet.folder / "results"))
    assert "web-1: stdout was cut: 1,024 of 17,000 bytes are kept\n" in done.stderr
