"""Point at the place in a text where reading it failed, for the message of an error."""

_AROUND_CHARACTERS = 24


def point_at(text: str, position: int) -> str:
    """Say where ``position`` is in ``text``: ``at character 6: web* >>>) or db*``.

    At most 24 characters stand on each side; control characters are written as escapes, so that they reach no terminal.
    """
    before = text[max(0, position - _AROUND_CHARACTERS) : position]
    after = text[position : position + _AROUND_CHARACTERS]
    head = "…" if position > _AROUND_CHARACTERS else ""
    tail = "…" if position + _AROUND_CHARACTERS < len(text) else ""
    return f"at character {position + 1}: {head}{visible(before)}>>>{visible(after)}{tail}"


def shorten(value: object, limit_characters: int = 60) -> str:
    """Write a value as Python does, cut to a length that fits a message."""
    text = repr(value)
    return text if len(text) <= limit_characters else text[: limit_characters - 1] + "…"


def visible(text: str) -> str:
    """Write what a terminal cannot show, or would obey, as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
