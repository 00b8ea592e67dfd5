"""URLs of stores: what is one, and how it is shown without user, password and query."""

import re
from urllib.parse import urlsplit

from ws.errors import StoreError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FORMS = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER"
_USER = re.compile(r"(?<=://)[^/@]*@")
_BUCKETS = ("s3", "s3a", "gs", "gcs", "memory", "file", "local")
"""What has no user and password in its URLs."""
_FORMER_PATH = re.compile(r"(?:s3|gs|gcs|memory|file):/[^/]")


def is_url(where: object) -> bool:
    """Whether a store is named by a URL rather than by a folder."""
    return isinstance(where, str) and _SCHEME.match(where) is not None


def credentials(url: str) -> str:
    """What stands in a URL as user and password; empty if nothing does."""
    found = _USER.search(url)
    return found[0].removesuffix("@") if found else ""


def without(text: str, secret: str) -> str:
    """A text without user and password of any URL in it, and without the user and password given."""
    hidden = [secret, secret.partition(":")[2]]
    for one in filter(None, hidden):
        text = text.replace(f"{one}@", "").replace(one, "***")
    return _USER.sub("", text)


def name_of(url: str) -> str:
    """What messages, manifests and file names call a URL: without user, password, query and a slash at its end."""
    return _USER.sub("", url).partition("?")[0].rstrip("/")


def checked(url: str) -> str:
    """The URL without a slash at its end.

    Raises: StoreError for one that names no place of its own, or a place through others.
    """
    name = name_of(url)
    if "::" in url or "?" in url or "#" in url:
        raise StoreError(f"the store {name} has '::', '?' or '#' in its URL; expected {_FORMS} and nothing else")
    parts = urlsplit(url)
    if credentials(url) and parts.scheme in _BUCKETS:
        raise StoreError(
            f"the store {name} has user or password in its URL, where {parts.scheme}:// has none; give them as its "
            "package finds them: environment or file of credentials"
        )
    if not (parts.netloc + parts.path).strip("/") or ".." in parts.path.split("/"):
        raise StoreError(f"the store {name} names no place; expected {_FORMS}")
    return url.rstrip("/")


def check_folder(path: str) -> None:
    """Raises: StoreError for a folder whose name was a URL until something took it for a path."""
    if _FORMER_PATH.match(path):
        raise StoreError(f"{path} was a URL before it became a path; name the store as text, as in {_FORMS}")
