"""Options as help shows them: the names to the left, what they do to the right."""

from collections.abc import Sequence

from .options import Option

_WIDTH_LIMIT = 40


def option_table(options: Sequence[Option]) -> str:
    """Write a line for each option."""
    return pair_table([(_names(option), _help_of(option)) for option in options])


def pair_table(pairs: Sequence[tuple[str, str]]) -> str:
    """Write a line for each pair; what is longer than 40 characters to the left gets a line of its own."""
    width = min(max(len(left) for left, _ in pairs), _WIDTH_LIMIT)
    lines: list[str] = []
    for left, right in pairs:
        if len(left) > width:
            lines.extend((f"  {left}", f"  {'':{width}}  {right}"))
        else:
            lines.append(f"  {left:{width}}  {right}")
    return "\n".join(lines) + "\n"


def _help_of(option: Option) -> str:
    return f"{option.help}: {', '.join(option.choices)}" if option.choices else option.help


def _names(option: Option) -> str:
    short = "" if len(option.names) > 1 else "    "
    value = f" {option.value_name}" if option.value_name else ""
    return f"{short}{', '.join(option.names)}{value}"
