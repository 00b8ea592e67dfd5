"""A folder with the manifests below a URL and no other files: what looks after stores reads it as if it were one."""

from collections.abc import Callable
from pathlib import Path

from ws.remote.documents import decoded
from ws.remote.layout import CODE, MANIFESTS, code_name, key_of, manifest_name
from ws.remote.objects import Objects
from ws.store import Store
from ws.store.manifests import Damaged, write_said
from ws.store.progress import track
from ws.store.texts import text_path


class Mirror(Store):
    """The manifests below a URL, and the code behind them."""

    def __init__(
        self,
        objects: Objects,
        folder: Path,
        *,
        chosen: Callable[[str], bool] = lambda key: True,
        with_code: bool = False,
    ) -> None:
        """`folder` is an empty one; `chosen` tells by its key whether a manifest is of interest."""
        super().__init__(folder)
        self.unreadable: dict[str, str] = {}
        """By key, why a manifest is not in the folder."""
        self.sources: set[str] = set()
        """The code that the manifests name."""
        keys = sorted(filter(None, map(key_of, objects.entries(MANIFESTS))))
        wanted = [key for key in keys if chosen(key)]
        for key in track(wanted, f"reading manifests of {objects.name}") if len(wanted) > 1 else wanted:
            self._add(objects, key)
        if with_code:
            self._add_code(objects)

    def _add(self, objects: Objects, key: str) -> None:
        content = objects.read(manifest_name(key))
        if content is None:  # removed since it was listed
            return
        try:
            said = decoded(content, key)
            home = self.root / kind_of(said) / key
        except Damaged as reason:
            self.unreadable[key] = str(reason)
            return
        home.mkdir(parents=True)
        write_said(home, said)
        self.sources.add(str(said.get("source")))

    def _add_code(self, objects: Objects) -> None:
        there = objects.entries(CODE)
        for source in self.sources:
            if (name := code_name(source)) in there:
                texts = text_path(self.root, source)
                texts.parent.mkdir(parents=True, exist_ok=True)
                objects.download(name, texts)


def kind_of(said: dict[str, object]) -> str:
    """The name of the recipe's class, as a folder is called. Raises: Damaged for what cannot be one."""
    kind = str(said.get("class")).rpartition(".")[2]
    if not (kind.isidentifier() and kind.isascii()):
        raise Damaged("its manifest names no class")
    return kind
