"""What of a job's results is shown, and in which form: read from the options once, before anything runs."""

from collections.abc import Sequence

from ..core.dataclass import dataclass, field
from ..core.errors import UsageError
from .groups import Folding
from .invocation import Invocation
from .ranks import Only, read_only
from .verb_options import ALL, DIFF, FOLD, ONLY, OUT_DIR, OUT_FILE, REMOVE, RUN_FORMS


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a job's results is shown, and how.

    Attributes:
        form: one of ``RUN_FORMS``, or ``text``.
        only: which results.
        folding: what counts as the same in form ``fold``.
        has_diff: groups are compared with the largest.
        is_all: tables are shown whole.
        color: in colours.
        file: where the document goes instead of stdout; empty for stdout.
        folder: where a file a minion goes instead; empty for none.
        is_kept: the job stays in the job cache, so that it can be pointed to.
    """

    form: str
    only: Only = field(default_factory=Only)
    folding: Folding = Folding.EXACT
    has_diff: bool = False
    is_all: bool = False
    color: bool = False
    file: str = ""
    folder: str = ""
    is_kept: bool = True


def read_shown(call: Invocation, forms: Sequence[str] = RUN_FORMS, default: str = "") -> Shown:
    """Read the options that say what is shown.

    ``--fold`` and ``--diff`` mean the form ``fold``. Without ``default`` the form is what FLEET_OUT or ``client.yaml`` says,
    else what the place is fit for.

    Raises:
        UsageError: they do not fit together, or have values that they cannot have.
    """
    options = call.options
    file, folder = options.text(OUT_FILE.name), options.text(OUT_DIR.name)
    _check_places(call, file, folder)
    is_terminal = call.is_terminal and not file and not folder
    folds = [option.name for option in (FOLD, DIFF) if options.flag(option.name)]
    form = call.form(forms, "fold" if folds else default or call.default_form(is_terminal=is_terminal))
    if folds and form != "fold":
        raise UsageError(f"{folds[0]} is for the form fold, not for {form}", "leave --out away, or say --out fold")
    return Shown(
        form,
        read_only(options.texts(ONLY.name)),
        Folding(options.text(FOLD.name, Folding.EXACT)),
        options.flag(DIFF.name),
        options.flag(ALL.name),
        call.has_color(is_terminal=is_terminal),
        file,
        folder,
        is_kept=not options.flag(REMOVE.name),
    )


def _check_places(call: Invocation, file: str, folder: str) -> None:
    for option, place in ((OUT_FILE, file), (OUT_DIR, folder)):
        if call.options.flag(option.name) and (not place or "\0" in place):
            raise UsageError(f"{option.name} needs a path, not {place!r}", option.help)
    if file and folder:
        raise UsageError(
            f"{OUT_FILE.name} and {OUT_DIR.name} do not go together", "fleet jobs show JID gives the other"
        )
