"""What the master has learned of its minions: grains and catalogues, each kept once by digest. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import islice

from ..core.dataclass import replace
from ..core.from_minion import Hello
from ..core.function_spec import FunctionSpec
from ..core.grain_path import find_grain
from ..core.names import FunctionName, MinionId
from ..core.values import Value
from .store import MinionFacts

#: A grain in a column: a minion may claim to have a host name of a mebibyte.
GRAIN_LIMIT_CHARACTERS = 256
#: Of the grains of one minion; one with more names than these does not hold up whoever mistypes one.
NAMES_OF_ONE_LIMIT = 1_000


class FleetFacts:
    """Facts by minion; what a minion has not yet reported is empty, and a grain target does not match it."""

    def __init__(
        self,
        facts: Iterable[MinionFacts],
        grains: Mapping[bytes, Mapping[str, Value]],
        catalogues: Mapping[bytes, tuple[FunctionSpec, ...]],
    ) -> None:
        self._facts = {fact.minion: fact for fact in facts}
        self._grains = dict(grains)
        self._catalogues = dict(catalogues)
        self._users: Counter[bytes] = Counter()
        for fact in self._facts.values():
            self._users.update((fact.grains_digest, fact.catalogue_digest))

    def get(self, minion: MinionId) -> MinionFacts | None:
        """The facts of one minion."""
        return self._facts.get(minion)

    def greeted(self, hello: Hello, address: str, now_us: int) -> tuple[MinionFacts, bool]:
        """Take up a hello; return the facts to keep, and whether the journal is the one known before.

        What it was known by stays until it has reported what is new: a grain target must not miss it in between.
        """
        before = self._facts.get(hello.minion_id)
        grains_digest, catalogue_digest = hello.grains_digest[:32], hello.catalogue_digest[:32]
        if before is not None and grains_digest not in self._grains:
            grains_digest = before.grains_digest
        if before is not None and catalogue_digest not in self._catalogues:
            catalogue_digest = before.catalogue_digest
        facts = MinionFacts(
            minion=hello.minion_id,
            version=hello.fleet_version[:64],
            address=address,
            journal_id=hello.journal_id[:16],
            boot_id=hello.boot_id[:64],
            last_seen_us=now_us,
            grains_digest=grains_digest,
            catalogue_digest=catalogue_digest,
        )
        self._replace(before, facts)
        return facts, before is None or before.journal_id == facts.journal_id

    def heard(self, moments: Iterable[tuple[MinionId, int]], least_us: int) -> tuple[tuple[MinionId, int], ...]:
        """Take up when something was last heard of minions; return those for which that is this much later than before."""
        known = self._facts
        moved = tuple(
            (minion, heard_us)
            for minion, heard_us in moments
            if minion in known and heard_us - known[minion].last_seen_us >= least_us
        )
        for minion, heard_us in moved:
            known[minion] = replace(known[minion], last_seen_us=heard_us)
        return moved

    def wants_grains(self, digest: bytes) -> bool:
        """Grains of this digest have never been reported."""
        return digest not in self._grains

    def wants_catalogue(self, digest: bytes) -> bool:
        """A catalogue of this digest has never been reported."""
        return digest not in self._catalogues

    def learn_grains(self, minion: MinionId, digest: bytes, grains: Mapping[str, Value]) -> MinionFacts | None:
        """Keep grains; return the facts when the digest is new for this minion."""
        if minion in self._facts:
            self._grains[digest] = grains
        return self._update(minion, grains_digest=digest)

    def learn_catalogue(
        self, minion: MinionId, digest: bytes, functions: tuple[FunctionSpec, ...]
    ) -> MinionFacts | None:
        """Keep a catalogue; return the facts when the digest is new for this minion."""
        if minion in self._facts:
            self._catalogues[digest] = functions
        return self._update(minion, catalogue_digest=digest)

    def forget(self, minion: MinionId) -> None:
        """The key was removed."""
        facts = self._facts.pop(minion, None)
        if facts is not None:
            self._release(facts)

    def grains_of(self, minion: MinionId) -> Mapping[str, Value]:
        """The grains of one minion; empty when it has reported none."""
        facts = self._facts.get(minion)
        return self._grains.get(facts.grains_digest, {}) if facts else {}

    def of_all(self, minions: Iterable[MinionId]) -> Mapping[MinionId, Mapping[str, Value]]:
        """The grains of several minions."""
        # For every job, of ten thousand minions: nothing is called for each of them.
        facts, grains, none = self._facts, self._grains, dict[str, Value]()
        return {
            minion: grains.get(facts[minion].grains_digest, none) if minion in facts else none for minion in minions
        }

    def grain_names(self) -> frozenset[str]:
        """The names of grains that some minion has, ``NAMES_OF_ONE_LIMIT`` of each; not what is inside of them."""
        return frozenset(name for grains in self._grains.values() for name in islice(grains, NAMES_OF_ONE_LIMIT))

    def has_grains(self) -> bool:
        """Tell whether some minion has reported any."""
        return any(self._grains.values())

    def has_grain(self, path: str) -> bool:
        """Tell whether some minion has a grain of this name, or something at this path; see ``core/grain_path.py``."""
        return any(find_grain(grains, path) for grains in self._grains.values())

    def host_of(self, minion: MinionId) -> str:
        """The host name of one minion; empty when it has reported none; cut to ``GRAIN_LIMIT_CHARACTERS``."""
        host = self.grains_of(minion).get("host", "")
        return host[:GRAIN_LIMIT_CHARACTERS] if isinstance(host, str) else ""

    def functions(self, patterns: Iterable[str]) -> tuple[FunctionSpec, ...]:
        """The functions that some minion has, by glob over names or by module name, sorted."""
        wanted = tuple(patterns)
        found: dict[FunctionName, FunctionSpec] = {}
        used = {facts.catalogue_digest for facts in self._facts.values()}
        for digest in sorted(used):
            for spec in self._catalogues.get(digest, ()):
                if not wanted or any(
                    fnmatchcase(spec.name, pattern) or spec.name.partition(".")[0] == pattern for pattern in wanted
                ):
                    found.setdefault(spec.name, spec)
        return tuple(found[name] for name in sorted(found))

    def spec_for(self, name: FunctionName, minions: Iterable[MinionId]) -> FunctionSpec | None:
        """The signature of a function as one of these minions has it; advice only, the minion decides."""
        digests = {facts.catalogue_digest for minion in minions if (facts := self._facts.get(minion))}
        for digest in digests:
            for spec in self._catalogues.get(digest, ()):
                if spec.name == name:
                    return spec
        return None

    def _update(
        self, minion: MinionId, *, grains_digest: bytes = b"", catalogue_digest: bytes = b""
    ) -> MinionFacts | None:
        before = self._facts.get(minion)
        if before is None:
            return None
        after = replace(
            before,
            grains_digest=grains_digest or before.grains_digest,
            catalogue_digest=catalogue_digest or before.catalogue_digest,
        )
        self._replace(before, after)
        return after if after != before else None

    def _replace(self, before: MinionFacts | None, after: MinionFacts) -> None:
        self._facts[after.minion] = after
        self._users.update((after.grains_digest, after.catalogue_digest))
        if before is not None:
            self._release(before)

    def _release(self, facts: MinionFacts) -> None:
        """Forget what no minion has any more: one that changes its grains all the time must not fill the memory."""
        for digest, kept in ((facts.grains_digest, self._grains), (facts.catalogue_digest, self._catalogues)):
            self._users[digest] -= 1
            if not self._users[digest]:
                del self._users[digest]
                kept.pop(digest, None)
