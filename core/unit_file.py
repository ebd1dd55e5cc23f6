"""The systemd unit of a daemon, as it is shipped beside its code, made to fit where the daemon is installed.

A unit names a command by its whole path, and only the installed command knows where a virtual environment was made. The shipped file
is whole as it stands for an installation that is linked into ``/usr/local/bin``.
"""

import re
from pathlib import Path

#: Where the shipped files look for the commands.
SHIPPED_FOLDER = "/usr/local/bin"
#: Places of the system that a unit gives its daemon; below another root it gives that root instead.
_SYSTEM_PLACES = re.compile(r"^(State|Runtime|Logs)Directory\w*=.*\n", re.MULTILINE)
#: What would hide another root that lies below one of these.
_HIDING = re.compile(r"^(ProtectHome|PrivateTmp)=.*\n", re.MULTILINE)


def fitted_unit(shipped: str, name: str, command: Path, root: Path, config: Path | None) -> str:
    """Return the text of a shipped unit with the installed command, and the root and configuration file that it was asked with.

    Args:
        shipped: the text of the file.
        name: what the daemon is called, ``fleet-master`` or ``fleet-minion``.
        command: the whole path of the installed command.
        root: below which the daemon lives.
        config: its configuration file; None for the usual one.
    """
    words = [str(command)]
    text = shipped
    if root != Path("/"):
        words += ["--root", str(root)]
        text, places = _SYSTEM_PLACES.subn("", text)
        if places:
            text = _HIDING.sub("", text).replace(
                "ProtectSystem=strict\n", f"ProtectSystem=strict\nReadWritePaths={_quoted(str(root))}\n"
            )
    if config is not None:
        words += ["--config", str(config.absolute())]
    # Only what follows the command is searched for variables.
    words[1:] = [word.replace("$", "$$") for word in words[1:]]
    return text.replace(f"ExecStart={SHIPPED_FOLDER}/{name}\n", f"ExecStart={' '.join(map(_quoted, words))}\n")


def installed_command(name: str, started_as: str, interpreter: str) -> Path:
    """Return the whole path of a command: what was started, else what lies beside the interpreter that runs it."""
    started = Path(started_as)
    return started.absolute() if started.name == name and started.exists() else Path(interpreter).with_name(name)


def _quoted(word: str) -> str:
    """Write a word so that systemd reads it as one, and takes nothing in it for a specifier."""
    plain = word.replace("%", "%%")
    if re.fullmatch(r"[\w./:@%+,=$-]+", plain, re.ASCII):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
