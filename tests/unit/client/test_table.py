from fleet.client.table import facts, table


def test_columns_are_aligned_also_under_wide_characters_and_the_last_line_counts() -> None:
    assert table(("ID", "OWNER", "STATE"), [("web-1", "개발자", "up"), ("db-10", "x", "")], total=7) == (
        "ID     OWNER   STATE\n"
        "web-1  개발자  up\n"
        "db-10  x\n"
        "2/7\n"
    )  # fmt: skip


def test_an_empty_table_still_says_how_many_there_are() -> None:
    assert table(("ID",), []) == "ID\n0/0\n"


def test_a_cell_cannot_break_out_of_its_line() -> None:
    assert table(("ID",), [("a\nb\x1b[2J",)]) == "ID\na␊b␛[2J\n1/1\n"


def test_a_long_cell_is_whole_and_does_not_fill_up_the_others() -> None:
    long = "x" * 100_000
    assert table(("ID", "OS", "STATE"), [("a", "y", "up"), ("b", long, "up")]) == (
        f"ID  OS{' ' * 58}  STATE\na   y{' ' * 59}  up\nb   {long}  up\n2/2\n"
    )
    assert facts([(long, "1"), ("b", "2")]) == f"{long}  1\nb{' ' * 59}  2\n"


def test_facts_are_aligned() -> None:
    assert facts([("A", "1"), ("LONG", "2\n3"), ("E", "")]) == "A     1\nLONG  2␊3\nE\n"
