import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.endpoint import HostPort, is_address, parse_endpoint
from fleet.core.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("master", "master", 4607),
        ("salt.example.org", "salt.example.org", 4607),
        ("salt.example.org.", "salt.example.org.", 4607),
        ("salt_master-1:4700", "salt_master-1", 4700),
        ("192.0.2.7", "192.0.2.7", 4607),
        ("192.0.2.7:1", "192.0.2.7", 1),
        ("::1", "::1", 4607),
        ("2001:db8::7", "2001:db8::7", 4607),
        ("[::1]", "::1", 4607),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:4700", "fe80::1%eth0", 4700),
        ("fe80::1%eth0", "fe80::1%eth0", 4607),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7", 4607),
    ],
)
def test_every_form_is_read(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text, 4607) == HostPort(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":4607",
        "master:",
        "master:0",
        "master:65536",
        "master:+1",
        "master:1_0",
        "master:٤٦٠٧",
        "ma ster",
        "master/x",
        "-master",
        "a..b",
        "x" * 64,
        "tcp://master",
        "[::1",
        "[::1]4607",
        "[::1]:",
        "[master]:4607",
        "[192.0.2.7]:4607",
        "1:2:3",
        "fe80::1%",
        "fe80::1%a b",
        "10.1",
        "999.1.1.1",
        "192.0.2.7.8",
        "127.0.0.01",
        "müller",
        "master\n",
    ],
)
def test_what_is_no_address_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        parse_endpoint(text, 4607)
    assert repr(text[:80]) in refusal.value.message
    assert "[IPV6]:PORT" in refusal.value.hint


def test_an_endpoint_is_written_as_it_is_read() -> None:
    assert str(HostPort("::1", 4607)) == "[::1]:4607"
    assert str(HostPort("master", 4607)) == "master:4607"


def test_an_address_is_told_from_a_name() -> None:
    assert [is_address(host) for host in ("192.0.2.7", "::1", "fe80::1%eth0")] == [True, True, True]
    assert [is_address(host) for host in ("master", "10.1", "")] == [False, False, False]


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_and_what_is_read_is_written_back(text: str) -> None:
    try:
        endpoint = parse_endpoint(text, 4607)
    except SettingsError:
        return
    assert parse_endpoint(str(endpoint), 1) == endpoint
