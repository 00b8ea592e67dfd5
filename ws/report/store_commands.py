"""What `ws store` and its commands do: ask `ws.upkeep`, print `ws.report.store_text`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ws.errors import StoreError
from ws.plan.lost import Lost
from ws.plan.processes import side_by_side
from ws.remote import RemoteStore
from ws.report import remote_commands, store_text, store_why
from ws.report.own_folders import folders_of_own
from ws.store import Store
from ws.store.manifests import Manifest
from ws.upkeep import carry as carrying
from ws.upkeep import check as checking
from ws.upkeep.accounts import Accounts, accounts_now, kept_accounts
from ws.upkeep.commits import accounts_at
from ws.upkeep.differences import differences
from ws.upkeep.garbage import garbage_of, remove, size
from ws.upkeep.lookup import Snapshot, is_test, manifest_of, snapshots_of
from ws.upkeep.recall import RecipeGone, recalled
from ws.upkeep.standing import manifests_in, standing

BESIDE = ("code", "sources", "locks", "tmp", "damaged", "runs", "carry", "audits", "bisect", "waiting")
"""The folders of a store that hold no artifacts."""


def overview(store: Store) -> str:
    """The kinds of artifacts of a store."""
    if isinstance(store, RemoteStore):
        return remote_commands.overview(store)
    manifests = manifests_in(store.root)
    others = sum(size(store.root / name) for name in BESIDE)
    return store_text.overview(store.root, manifests, others)


def check(store: Store) -> Iterator[str]:
    """What is damaged. Raises: StoreError, in the end, if anything is."""
    found = checking.check(store)
    yield store_text.checked(store.root, found)
    if damaged := [one for one in found if one.damage is not None]:
        raise StoreError(
            f"{len(damaged)} of {len(found)} artifacts are damaged; a run that asks for one sets it aside and builds "
            "it again, and it is safe to delete its folder"
        )


def why(store: Store, asked: str, against: str | None) -> str:
    """What a key is made of, and what makes today's code, another commit or another store compute a different key."""
    if isinstance(store, RemoteStore):
        with remote_commands.to_explain(store, asked) as mirror:
            return why(mirror, asked, against)
    if not is_test(asked):
        return _why_key(store, manifest_of(store.root, asked), against)
    own = [folder for _, folder in folders_of_own(store.root, Path(asked.partition("::")[0]).parent)]
    return "\n".join(_why_snapshot(store, one, against) for one in snapshots_of(asked, own=own))


def _why_key(store: Store, manifest: Manifest, against: str | None) -> str:
    kept = kept_accounts(store, manifest)
    if against is not None:
        other, name = _other(store, manifest, against)
        return store_why.compared(differences(kept, other), old=f"{manifest.key} in {store.root}", new=name)
    now, gone = _now(store, manifest)
    text = store_why.made_of(manifest, kept, now, gone)
    if now is None or now.top.key == manifest.key:
        return text
    steps = differences(kept, now)
    return f"{text}\n{store_why.compared(steps, old=f'{manifest.key} as stored', new=f'{now.top.key} by this code')}"


def _now(store: Store, manifest: Manifest) -> tuple[Accounts | None, str]:
    try:
        return accounts_now(store, recalled(manifest.said)), ""
    except RecipeGone as gone:
        return None, str(gone)


def _other(store: Store, manifest: Manifest, against: str) -> tuple[Accounts, str]:
    """The accounts of the same artifact in another commit or store, and the name of that side."""
    folder = Path(against).expanduser()
    if folder.is_dir():
        there = Store(folder)
        twin = _twin(there, manifest)
        return kept_accounts(there, twin), f"{twin.key} in {there.root}"
    accounts = accounts_at(against, manifest.said)
    return accounts, f"{accounts.top.key} by commit {against}"


def _twin(there: Store, manifest: Manifest) -> Manifest:
    """The artifact of another store that is most similar: with the same key, else of the same kind."""
    alike = [one for one in manifests_in(there.root) if one.kind == manifest.kind]
    if not alike:
        raise StoreError(f"{there.root} has no {manifest.kind}; nothing to compare {manifest.key[:12]} with")
    wanted = _values(manifest)
    return max(alike, key=lambda one: (one.key == manifest.key, len(wanted & _values(one)), one.created))


def _values(manifest: Manifest) -> set[tuple[str, str]]:
    """Every value in a manifest's recipe and in its inputs."""
    said = manifest.said
    return set(_leaves(said["recipe"] if "recipe" in said else said.get("fields", {}))) | {
        leaf for recipe in said.get("inputs", {}).values() for leaf in _leaves(recipe)
    }


def _leaves(said: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(said, dict):
        for field, value in said.items():
            if field not in ("class", "input"):
                yield from _leaves(value, field)
    elif isinstance(said, list):
        for value in said:
            yield from _leaves(value, name)
    else:
        yield name, repr(said)


def _why_snapshot(store: Store, snapshot: Snapshot, against: str | None) -> str:
    known = {manifest.key: manifest for manifest in manifests_in(store.root)}
    text = store_why.snapshot_text(snapshot, [(key, _standing(store, known.get(key))) for key in snapshot.keys])
    if against is None:
        return text
    return "\n".join([text, *(_why_key(store, known[key], against) for key in snapshot.keys if key in known)])


def _standing(store: Store, manifest: Manifest | None) -> str:
    if manifest is None:
        return f"not in {store.root}"
    found = standing(store, manifest)
    if found.recipe is None:
        return f"{manifest.kind}, no recipe today: {found.why}"
    today = "the same today" if found.is_reached else f"today {found.key and found.key[:12]}"
    return f"{manifest.kind} {found.recipe.describe()}; {today}"


def gc(store: Store, *, dry_run: bool, older_than: float) -> str:
    """Text about what was removed, or would be."""
    if isinstance(store, RemoteStore):
        return remote_commands.gc(store, dry_run=dry_run, older_than=older_than)
    found = garbage_of(store, older_than_days=older_than)
    text = store_text.garbage(found, dry=dry_run)
    if not dry_run:
        remove(store, found)
    return text


def carry(
    store: Store,
    *,
    tolerance: float,
    sample: int,
    seed: int,
    dry_run: bool,
    cover: str = "combinations",
    workers: int = 1,
) -> Iterator[str]:
    """The plan, then what the audit found, then what was carried.

    Raises: StoreError if the sample does not agree, or for a store behind a URL.
    """
    if isinstance(store, RemoteStore):
        remote_commands.refuse_to_carry(store)
    with carrying.alone(store):
        plan = carrying.plan(store, tolerance=tolerance, sample=sample, seed=seed, cover=cover, is_lost=Lost(store))
        yield store_text.carried_plan(plan)
        if dry_run or not plan.pending:
            return
        found = carrying.audit(store, plan, each=map if workers == 1 else partial(side_by_side, workers=workers))
        yield store_text.findings(plan, found)
        if not carrying.agrees(plan, found):
            raise StoreError(
                "nothing was carried: stored and rebuilt differ by more than the tolerance; if the numbers are to "
                "change, build them anew, else find what changed them with `ws store why KEY`"
            )
        done = carrying.carry(store, plan, found)
        yield f"carried {done} artifacts; `ws store gc` frees the keys that they had\n"
