"""Through which input a case moved: what its two records, and the provenance of what they were read from, say.

What is not recorded is said to be unknown. What changed between two commits is listed as that: that it moved the number
is proven by `--bisect` alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ws.changes.cases import Case, Cause, Extent, Group, Moved
from ws.changes.keys import Rekeyed, code_of, paired, rekeyed, told_of
from ws.changes.known import Known
from ws.changes.recordings import Recordings, uncommitted

TITLES: Mapping[str, str] = {
    "model": "another model",
    "behavior": "another behavior",
    "seeds": "seeds",
    "data": "data",
    "settings": "settings of recipes",
    "versions": "versions of packages",
    "machine": "machine",
    "code": "code that makes rows",
    "code or versions": "code or versions, of which a side does not say",
    "code or settings": "code or settings: no evidence has the recipes behind the keys",
    "code beside": "code that changed too; whether it moved a key is not recorded",
    "claim": "the claim asks otherwise",
    "siblings": "sibling cases, with which it shares an error rate",
    "judgement": "the same rows, judged by other code",
    "unknown": "not known",
}
"""Every kind of cause in words, in the order in which they are told."""

ASKED = ("threshold", "relation", "matters", "level", "part")
"""The fields with what a claim asks."""

NO_KEYS = "a side does not name the keys of what it was read from"


@dataclass
class Causes:
    """Finds the causes of cases; what many of them share is looked up once."""

    known: Known
    recordings: Recordings
    groups: Mapping[Group, int] = field(default_factory=dict)
    """For each group of sibling cases, how many came, went, or have another number."""
    _rekeyed: dict[tuple[str, str], Rekeyed] = field(default_factory=dict)

    def of(self, moved: Moved) -> tuple[Cause, ...]:
        """The causes of one case, in the order of `TITLES`; none where nothing of the verdict moved."""
        if moved.extent == Extent.SAME:
            return ()
        found = dict.fromkeys(self._found(moved.old, moved.new, moved))
        order = list(TITLES)
        return tuple(sorted(found, key=lambda one: (order.index(one.what), one.detail)))

    def _found(self, old: Case, new: Case, moved: Moved) -> Iterator[Cause]:
        if old.id[0] != new.id[0]:
            yield Cause("model", f"{old.id[0]} -> {new.id[0]}")
        if old.behavior != new.behavior:
            yield Cause("behavior", " -> ".join(one.behavior or "those of the claims" for one in (old, new)))
        yield from _changed("machine", old, new, "device")
        if old.said.get("n_seeds") != new.said.get("n_seeds"):
            yield Cause("seeds", f"{old.said.get('n_seeds')} -> {new.said.get('n_seeds')} seeds")
        if uncommitted(old.recorded) or uncommitted(new.recorded):
            yield Cause("unknown", "a side was recorded from code that was not committed")
        schemes = [case.recorded["keys"] for case in (old, new) if "keys" in case.recorded]
        if not old.keys or not new.keys:
            yield Cause("unknown", NO_KEYS)
            yield from self._judged(moved)
        elif schemes and old.recorded.get("keys") != new.recorded.get("keys"):
            yield Cause("unknown", f"keys of one side are {schemes[0]}, and cannot be compared")
            yield from _versions(old, new)
        elif set(old.keys) != set(new.keys):
            # Where neither the number nor the means of its tables moved, other keys are beside the point.
            if not moved.has_same_number or moved.extent == Extent.KEYS:
                yield from self._other_keys(old, new)
            if moved.extent in (Extent.TURNED, Extent.JUDGED):
                yield from self._judged(moved)
        elif moved.has_same_rows is False:
            yield from _built_again(old, new)
            if moved.extent in (Extent.TURNED, Extent.JUDGED):
                yield from self._judgement(moved)
        else:
            yield from self._judged(moved)

    def _other_keys(self, old: Case, new: Case) -> Iterator[Cause]:
        pairs, alone = paired(old.keys, new.keys, self.known)
        for pair in pairs:
            found = self._of_pair(pair)
            yield from found.causes
            if found.by_code:
                yield code_of(pair, found.by_code, self.known, self.recordings.of_library)
            elif found.is_open and not {cause.what for cause in found.causes} & {"code", "code or versions"}:
                beside = self.recordings.making(old.recorded, new.recorded)
                if not isinstance(beside, str) and beside:
                    yield Cause("code beside", told_of(beside))
        nameless = [key for key in alone if self.known.accounts(key) is None]
        if nameless:
            yield from self._nameless(old, new)
        elif alone:
            yield Cause("claim", "it reads other tables")

    def _of_pair(self, pair: tuple[str, str]) -> Rekeyed:
        if pair not in self._rekeyed:
            old, new = (self.known.accounts(key) for key in pair)
            assert old is not None
            assert new is not None
            self._rekeyed[pair] = rekeyed(old, new, self.known)
        return self._rekeyed[pair]

    def _nameless(self, old: Case, new: Case) -> Iterator[Cause]:
        """What can be said of keys that no evidence and no store knows: versions are in the record of the case."""
        told = list(_versions(old, new))
        yield from told
        if old.id[0] == new.id[0]:
            made = self.recordings.making(old.recorded, new.recorded)
            yield Cause("code or settings", made if isinstance(made, str) else told_of(made) or "no file differs")

    def _judged(self, moved: Moved) -> Iterator[Cause]:
        found = list(self._judgement(moved))
        yield from found or [Cause("unknown", "nothing that a side recorded differs")]

    def _judgement(self, moved: Moved) -> Iterator[Cause]:
        old, new = moved.old, moved.new
        yield from _changed("claim", old, new, *ASKED)
        if test := self.recordings.test_of(new.test, old.recorded, new.recorded):
            yield Cause("claim", test)
        if "cases" in old.said and old.said["cases"] != new.said.get("cases"):
            yield Cause("siblings", f"{old.said['cases']} -> {new.said.get('cases')} cases")
        if self.groups.get(new.group, 0) > (not moved.has_same_number):
            yield Cause("siblings", "numbers of others moved")
        releases = [case.recorded.get("releases", {}) for case in (old, new)]
        yield from _apart("versions", *({"numpy": one["numpy"]} if "numpy" in one else {} for one in releases))
        judging = self.recordings.judging(old.recorded, new.recorded)
        if isinstance(judging, str):
            yield Cause("unknown", f"which code judged it: {judging}")
        elif judging:
            yield Cause("judgement", told_of(judging))


def _built_again(old: Case, new: Case) -> Iterator[Cause]:
    """Why equal keys have other numbers: they were built twice, and machines and releases round otherwise."""
    machines = [case.recorded.get("machine") for case in (old, new)]
    known = [one if isinstance(one, dict) else {} for one in machines]
    releases = [case.recorded.get("releases", {}) for case in (old, new)]
    found = [*_apart("machine", *known), *_apart("versions", *releases)]
    yield from found or [Cause("unknown", "the same keys, machine and releases, and other numbers: built twice")]


def _versions(old: Case, new: Case) -> Iterator[Cause]:
    """The versions that keys cover, as the records of both cases have them."""
    yield from _apart("versions", _covered(old), _covered(new))


def _covered(case: Case) -> Mapping[str, Any]:
    found = case.said.get("versions")
    return found if isinstance(found, dict) else {}


def _apart(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Cause]:
    for name in (*old, *(one for one in new if one not in old)):
        if name in old and name in new and old[name] != new[name]:
            yield Cause(what, f"{name} {old[name]} -> {new[name]}")


def _changed(what: str, old: Case, new: Case, *names: str) -> Iterator[Cause]:
    for name in names:
        if name in old.said and name in new.said and old.said[name] != new.said[name]:
            yield Cause(what, f"{name} {_value(old.said[name])} -> {_value(new.said[name])}")


def _value(said: Any) -> str:
    return "none" if said is None or said == "" else str(said)
