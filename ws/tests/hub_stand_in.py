"""A hub with one repository, on this machine, that the real client is made to use."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

Files = dict[str, bytes]


@dataclass
class Hub:
    """The commits of OWNER/NAME with their files, and what its branches point to."""

    repo: str = "some/model"
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """What was asked for, in order: `GET /api/...`."""
    lies: dict[str, str] = field(default_factory=dict)
    """Hashes that the listing gives of files in place of the true ones."""

    def push(self, files: Files, *, branch: str = "main") -> str:
        """Make a commit of these files the head of a branch."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit

    def commit_of(self, revision: str) -> str | None:
        """The commit of a branch or of itself."""
        return self.branches.get(revision, revision if revision in self.commits else None)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request."""
        parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
        if parts[:4] == ["api", "models", *self.repo.split("/")]:
            commit = self.commit_of(parts[5])
            what = {"revision": self.info, "tree": self.tree}.get(parts[4])
            if commit is None or what is None:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
            return 200, {"Content-Type": "application/json"}, json.dumps(what(commit)).encode()
        if parts[:2] == self.repo.split("/") and parts[2] == "resolve":
            commit = self.commit_of(parts[3])
            content = self.commits.get(commit or "", {}).get("/".join(parts[4:]))
            if content is not None:
                etag = self.entry("/".join(parts[4:]), content)["lfs" if self.large(parts[-1]) else "oid"]
                return (
                    200,
                    {"ETag": f'"{etag["oid"] if isinstance(etag, dict) else etag}"', "X-Repo-Commit": commit},
                    content,
                )
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def info(self, commit: str) -> dict[str, object]:
        """What the hub tells of a revision, with its files."""
        files = [self.entry(name, content) for name, content in self.commits[commit].items()]
        siblings = [{"rfilename": f["path"], "size": f["size"], "blobId": f["oid"]} | self.pointer(f) for f in files]
        return {"id": self.repo, "sha": commit, "private": False, "downloads": 0, "tags": [], "siblings": siblings}

    def tree(self, commit: str) -> list[dict[str, object]]:
        """The listing that a download begins with."""
        return [self.entry(name, content) for name, content in self.commits[commit].items()]

    @staticmethod
    def large(name: str) -> bool:
        """Whether a file is kept apart from the repository, under its sha256."""
        return name.endswith((".safetensors", ".bin"))

    def entry(self, name: str, content: bytes) -> dict[str, object]:
        """A file of a listing."""
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "path": name, "size": len(content), "oid": self.lies.get(name, git)}
        if self.large(name):
            sha256 = self.lies.get(name, hashlib.sha256(content).hexdigest())
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
        return entry

    @staticmethod
    def pointer(entry: dict[str, object]) -> dict[str, object]:
        """Where a large file lies, as the listing of a revision says it."""
        lfs = entry.get("lfs")
        return {"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": 134}} if isinstance(lfs, dict) else {}


class Handler(BaseHTTPRequestHandler):
    """One request to a hub."""

    def __init__(self, hub: Hub, *args: object) -> None:
        self.hub = hub
        super().__init__(*args)

    def do_GET(self) -> None:
        self.reply(body=True)

    def do_HEAD(self) -> None:
        self.reply(body=False)

    def reply(self, *, body: bool) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        status, headers, content = self.hub.answer(self.path)
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Nothing on standard error."""


@contextmanager
def served(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, where this process looks for the Hugging Face hub, with an empty cache before it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, hub))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
