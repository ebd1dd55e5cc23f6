"""Reading and writing targets."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import TargetError
from fleet.core.names import MinionId
from fleet.core.target_parser import (
    DEPTH_LIMIT,
    LIST_LIMIT_CHARACTERS,
    REGEX_LIMIT_CHARACTERS,
    TEXT_LIMIT_CHARACTERS,
    format_target,
    parse_target,
)
from fleet.core.targets import And, Glob, GrainGlob, IdList, Not, Or, Regex, Target, TargetKind

COMPOUND = TargetKind.COMPOUND
A, B, C = Glob("a"), Glob("b"), Glob("c")


def id_list(*names: str) -> IdList:
    return IdList(frozenset(map(MinionId, names)))


@pytest.mark.parametrize(
    ("kind", "text", "target"),
    [
        (TargetKind.GLOB, "*", Glob("*")),
        (TargetKind.GLOB, "web-[1-3].example.org", Glob("web-[1-3].example.org")),
        (TargetKind.GLOB, "[]-]x", Glob("[]-]x")),
        (TargetKind.LIST, "a,b c", id_list("a", "b", "c")),
        (TargetKind.LIST, "web[08-10]", id_list("web08", "web09", "web10")),
        (TargetKind.GRAIN, "os:Red Hat*", GrainGlob("os", "Red Hat*")),
        (TargetKind.GRAIN, "disk:sda:size:10", GrainGlob("disk", "sda:size:10")),
        (TargetKind.GRAIN, "a:'b'", GrainGlob("a", "'b'")),
        (TargetKind.REGEX, "web-(1|2)", Regex("web-(1|2)")),
    ],
)
def test_each_kind_reads_its_own_form(kind: TargetKind, text: str, target: Target) -> None:
    assert parse_target(text, kind) == target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("a", A),
        ("  a  ", A),
        ("a and b", And((A, B))),
        ("a and b and c", And((A, B, C))),
        ("a or b and c", Or((A, And((B, C))))),
        ("a and b or c", Or((And((A, B)), C))),
        ("not a and b", And((Not(A), B))),
        ("not a or b", Or((Not(A), B))),
        ("not (a or b)", Not(Or((A, B)))),
        ("not(a or b)", Not(Or((A, B)))),
        ("(a or b)and c", And((Or((A, B)), C))),
        ("a and(b or c)", And((A, Or((B, C))))),
        ("( a )", A),
        ("((a))", A),
        ("(a and b) and c", And((And((A, B)), C))),
        ("not not a", Not(Not(A))),
        ("G@os:Debian and L@a,b", And((GrainGlob("os", "Debian"), id_list("a", "b")))),
        ("E@web-(1|2)", Regex("web-(1|2)")),
        ("(E@web-(1|2) or a)", Or((Regex("web-(1|2)"), A))),
        ("(E@web-(1|2))and a", And((Regex("web-(1|2)"), A))),
        ("(E@a(b(c)))", Regex("a(b(c))")),
        (r"(E@a\(|a[)])", Regex(r"a\(|a[)]")),
        ("G@os:'Red Hat*' or a", Or((GrainGlob("os", "Red Hat*"), A))),
        ('"G@os:Red Hat*"', GrainGlob("os", "Red Hat*")),
        ("'and' or 'not'", Or((Glob("and"), Glob("not")))),
        ("L@and,or", id_list("and", "or")),
        ("G@cpu:'Intel(R)'", GrainGlob("cpu", "Intel(R)")),
        ('G@a:it"\'"s', GrainGlob("a", "it's")),
        ("android and orange", And((Glob("android"), Glob("orange")))),
        ("L@'a b'", id_list("a", "b")),
    ],
)
def test_compounds_are_read_by_precedence(text: str, target: Target) -> None:
    assert parse_target(text, COMPOUND) == target


@pytest.mark.parametrize(
    ("text", "problem", "position"),
    [
        ("a and", "a target is missing after 'and'", 6),
        ("a or  ", "a target is missing after 'or'", 7),
        ("not", "a target is missing after 'not'", 4),
        ("and a", "a target is missing before 'and'", 1),
        ("a and or b", "a target is missing before 'or'", 7),
        ("()", "a target is missing before ')'", 2),
        ("a and ( )", "a target is missing before ')'", 9),
        ("a b", "'and' or 'or' is missing before 'b'", 3),
        ("a not b", "'and' or 'or' is missing before 'not'", 3),
        ("a(b)", "'and' or 'or' is missing before '('", 2),
        ("(a)(b)", "'and' or 'or' is missing before '('", 4),
        ("(a b) and c", "'and' or 'or' is missing before 'b'", 4),
        ("a AND b", "'and' or 'or' is missing before 'AND'", 3),
        ("a 'and' b", "'and' or 'or' is missing before 'and'", 3),
        ("(a", "a parenthesis that is not closed", 1),
        ("((a)", "a parenthesis that is not closed", 1),
        ("a)", "there is no parenthesis to close", 2),
        ("a and b) or c", "there is no parenthesis to close", 8),
        ("a and 'b", "a quote that is not closed", 7),
        ("a and web,db", "',' cannot be part of a minion id", 10),
        ("a or os:Debian", "':' cannot be part of a minion id", 8),
        ("a or w\x1b", "'\\x1b' cannot be part of a minion id", 7),
        ("a or ''", "'' is no minion id", 6),
        ("a or b[1-3", "a bracket without its partner", 7),
        ("I@role:web", "the prefix I@ is not known", 1),
        ("a and g@os:x", "the prefix g@ is not known", 7),
        ("a and G@os", "a grain reads key:pattern", 7),
        ("a and G@", "a grain reads key:pattern", 7),
        ("G@:x", "a grain reads key:pattern", 1),
        ("G@os:", "a grain reads key:pattern", 1),
        ("G@cpu:Intel(R)", "'and' or 'or' is missing before '('", 12),
        ("a or E@", "a regular expression has 1 to 1024 characters", 6),
        ("a or E@web(", "the regular expression cannot be read", 6),
        ("a or E@(?=x)", "the regular expression cannot be read", 6),
        ("E@a" + "b" * REGEX_LIMIT_CHARACTERS, "a regular expression has 1 to 1024 characters", 1),
        ("a or L@", "the list names no minion", 6),
        ("a or L@b,../x", "in 'L@b,../x': '../x' is no minion id", 3),
        ("a or L@b[1-", "in 'L@b[1-': a bracket without its partner", 2),
    ],
)
def test_a_compound_that_cannot_be_read_says_what_is_wrong_and_where(text: str, problem: str, position: int) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text, COMPOUND)
    assert problem in caught.value.message
    assert f"at character {position}:" in caught.value.message
    assert caught.value.message.isprintable()


def test_the_hint_says_how_it_is_written() -> None:
    for text, kind, hint in [
        ("a AND b", COMPOUND, "lower case"),
        ("G@os:Red Hat", COMPOUND, "quote a pattern"),
        ("G@cpu:Intel(R)", COMPOUND, "quote a pattern"),
        ("web,db", TargetKind.GLOB, "-L"),
        ("os:Debian", TargetKind.GLOB, "-G"),
        ("web and db", TargetKind.GLOB, "-C"),
        ("web-[^1]", TargetKind.GLOB, "[!a]"),
        ("web.+", TargetKind.GLOB, "-E"),
        ("wéb", TargetKind.GLOB, "ids consist of"),
        ("web-[01-12]", TargetKind.GLOB, "-L"),
        ("P@os:x", COMPOUND, "G@, E@ and L@"),
        ("", TargetKind.GLOB, "'*' selects every minion"),
    ]:
        with pytest.raises(TargetError) as caught:
            parse_target(text, kind)
        assert hint in caught.value.hint, text


@pytest.mark.parametrize("text", ["-web", ".x", "_", "a" * 129, "web]", "w[", "[!]", "web-[01-12]", "../x", "a\n"])
def test_a_glob_that_can_fit_no_id_is_refused(text: str) -> None:
    with pytest.raises(TargetError):
        parse_target(text, TargetKind.GLOB)


@pytest.mark.parametrize("kind", TargetKind)
@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_target_selects_nobody_by_being_an_error(text: str, kind: TargetKind) -> None:
    with pytest.raises(TargetError, match="the target is empty"):
        parse_target(text, kind)


def test_every_kind_has_a_limit_of_length() -> None:
    for kind, limit in [
        (TargetKind.GLOB, TEXT_LIMIT_CHARACTERS),
        (TargetKind.GRAIN, TEXT_LIMIT_CHARACTERS),
        (TargetKind.COMPOUND, TEXT_LIMIT_CHARACTERS),
        (TargetKind.REGEX, REGEX_LIMIT_CHARACTERS),
        (TargetKind.LIST, LIST_LIMIT_CHARACTERS),
    ]:
        with pytest.raises(TargetError, match=f"the limit is {limit}"):
            parse_target("a" * (limit + 1), kind)


def test_a_long_list_is_read() -> None:
    names = [f"node-{n}.example.org" for n in range(10_000)]
    assert parse_target(",".join(names), TargetKind.LIST) == id_list(*names)


def test_an_empty_list_is_an_error() -> None:
    with pytest.raises(TargetError, match="the list names no minion"):
        parse_target(" , ,", TargetKind.LIST)


@pytest.mark.parametrize("opening", ["(", "not ", "not("])
def test_deep_nesting_ends_in_a_message(opening: str) -> None:
    closing = ")" if "(" in opening else ""
    parse_target(opening * (DEPTH_LIMIT // 2) + "a" + closing * (DEPTH_LIMIT // 2), COMPOUND)
    for times in (DEPTH_LIMIT + 1, 800):
        with pytest.raises(TargetError, match=f"more than {DEPTH_LIMIT} levels"):
            parse_target(opening * times + "a" + closing * times, COMPOUND)


def test_a_long_chain_is_no_depth() -> None:
    assert parse_target(" and ".join("a" * 500), COMPOUND) == And((A,) * 500)


def test_many_wide_ranges_in_one_compound_share_one_limit() -> None:
    parse_target(" or ".join(["L@a[1-40000]"] * 2), COMPOUND)
    with pytest.raises(TargetError, match="too many names"):
        parse_target(" or ".join(["L@a[1-40000]"] * 3), COMPOUND)


def test_nothing_is_evaluated() -> None:
    for text in ("__import__('os')", "a and {1}", "set()", "a if b else c", "a|b", "a & b", "a and 'x' == 'x'"):
        with pytest.raises(TargetError):
            parse_target(text, COMPOUND)


_ALPHANUMERIC = string.ascii_letters + string.digits
minion_ids = st.builds(
    lambda first, rest: MinionId(first + rest),
    st.sampled_from(_ALPHANUMERIC),
    st.text(_ALPHANUMERIC + "._-", max_size=8),
)
leaves: st.SearchStrategy[Target] = st.one_of(
    st.one_of(
        minion_ids,
        st.sampled_from(["*", "and", "or", "not", "web-[!1-3]*", "[]]?", "-*", "E*"]),
    ).map(Glob),
    st.frozensets(minion_ids, min_size=1, max_size=5).map(IdList),
    st.builds(
        GrainGlob,
        st.text(st.characters(exclude_characters=":"), min_size=1, max_size=6),
        st.text(min_size=1, max_size=12),
    ),
    st.sampled_from(
        ["web", "a|b", r"\(", r"[)]", "(a|b)", r"\Q)\E", "it's", 'a"b', "a b", r"\\", "(?i)x{1,2}", "^a$", "['\"]"]
    ).map(Regex),
)


def _branches(parts: st.SearchStrategy[Target]) -> st.SearchStrategy[Target]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(several.map(And), several.map(Or), parts.map(Not))


@given(st.recursive(leaves, _branches, max_leaves=10))
def test_what_is_written_is_read_back_as_the_same_tree(target: Target) -> None:
    assert parse_target(format_target(target), COMPOUND) == target


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (And((A, Or((B, C)))), "a and (b or c)"),
        (Or((A, And((B, C)))), "a or b and c"),
        (Not(And((A, B))), "not (a and b)"),
        (And((And((A, B)), C)), "(a and b) and c"),
        (And((GrainGlob("os", "Red Hat*"), id_list("w1", "w2", "w3"))), "G@'os:Red Hat*' and L@w[1-3]"),
        (Or((Regex("web-(1|2)"), Glob("or"))), "E@'web-(1|2)' or 'or'"),
    ],
)
def test_a_tree_is_written_with_as_few_marks_as_it_needs(target: Target, text: str) -> None:
    assert format_target(target) == text


def assert_shown(message: str) -> None:
    assert message.isprintable()


@given(st.text(alphabet="abnd or()'\"GELI@:,*?[]!\\1-\n\x00é", max_size=40), st.sampled_from(TargetKind))
def test_any_text_is_a_target_or_a_target_error_with_a_message_that_can_be_shown(text: str, kind: TargetKind) -> None:
    try:
        again = parse_target(format_target(parse_target(text, kind)), COMPOUND)
    except TargetError as problem:
        assert_shown(problem.message + problem.hint)
    else:
        assert again == parse_target(text, kind)
