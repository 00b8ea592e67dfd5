"""An export is in its place whole or not at all, and nothing that is no export is ever lost to one."""

from pathlib import Path

import gguf
import pytest

from ws.errors import DataError
from ws.exports import placing

HOLDS = ("adapter_config.json", "*.safetensors")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(place: Path, text: str, *, parts: int = 1) -> None:
    with placing.folder(place, holds=HOLDS) as scratch:
        (scratch / "model.safetensors").write_text(text)
        (scratch / placing.README).write_text(placing.HEADING)
        _ = 1 / parts


def fill_file(place: Path, *, parts: int = 1) -> None:
    with placing.file(place, kinds=("adapter",)) as scratch:
        scratch.write_text("all")
        _ = 1 / parts


def gguf_file(path: Path, *, arch: str, kind: str | None, name: str = "dW of lora, for llama") -> Path:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(name)
    if kind is not None:
        writer.add_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_folder_appears_when_it_is_finished(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "export"
    with placing.folder(place, holds=HOLDS) as scratch:
        (scratch / "model.safetensors").write_text("all")
        assert not place.exists()
    assert tree(tmp_path) == {"deep/export/model.safetensors": b"all"}


def test_a_file_appears_when_it_is_finished(tmp_path: Path) -> None:
    fill_file(tmp_path / "deep" / "export.gguf")
    assert tree(tmp_path) == {"deep/export.gguf": b"all"}


def test_a_folder_takes_the_place_of_an_older_export(tmp_path: Path) -> None:
    fill(tmp_path / "export", "old")
    (tmp_path / "export" / "adapter_config.json").write_text("{}")
    fill(tmp_path / "export", "new")
    assert tree(tmp_path) == {"export/model.safetensors": b"new", "export/README.md": placing.HEADING.encode()}


@pytest.mark.parametrize("there", [False, True])
def test_an_error_leaves_everything_as_it_was(tmp_path: Path, there: bool) -> None:
    if there:
        fill(tmp_path / "export", "old")
    before = tree(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fill(tmp_path / "export", "half", parts=0)
    with pytest.raises(ZeroDivisionError):
        fill_file(tmp_path / "export.gguf", parts=0)
    assert tree(tmp_path) == before


def test_an_older_export_comes_back_if_the_new_one_cannot_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "export", "old")
    moved = placing.os.rename

    def once(source: Path, place: Path) -> None:
        if source.name.endswith(".part"):
            raise PermissionError
        moved(source, place)

    monkeypatch.setattr(placing.os, "rename", once)
    with pytest.raises(PermissionError):
        fill(tmp_path / "export", "new")
    assert tree(tmp_path)["export/model.safetensors"] == b"old"


def test_only_an_export_is_replaced_and_only_by_force(tmp_path: Path) -> None:
    fill(tmp_path / "export", "old")
    placing.check_folder(tmp_path / "export", holds=HOLDS, force=True)
    with pytest.raises(DataError, match="is there already; name another folder, or replace it with --force"):
        placing.check_folder(tmp_path / "export", holds=HOLDS, force=False)
    (tmp_path / "export" / "thesis.txt").write_text("years")
    with pytest.raises(DataError, match=r"holds thesis.txt, which such an export never writes"):
        placing.check_folder(tmp_path / "export", holds=HOLDS, force=True)
    with pytest.raises(DataError, match=r"holds thesis.txt"):
        fill(tmp_path / "export", "new")
    assert tree(tmp_path)["export/model.safetensors"] == b"old"
    assert tree(tmp_path)["export/thesis.txt"] == b"years"


@pytest.mark.parametrize("readme", [None, "# Model Card for Model ID\n", "A steering direction\n"])
def test_a_model_or_adapter_of_ones_own_is_never_replaced(tmp_path: Path, readme: str | None) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (place / name).write_text("trained for days")
    if readme is not None:
        (place / placing.README).write_text(readme)
    before = tree(tmp_path)
    message = (
        r"no README.md of an export: it may be a model or an adapter of your own, so it is not replaced, with --force"
    )
    for force in (False, True):
        with pytest.raises(DataError, match=message):
            placing.check_folder(place, holds=HOLDS, force=force)
    with pytest.raises(DataError, match=message):
        fill(place, "new")
    assert tree(tmp_path) == before


def test_an_adapter_that_others_have_converted_is_not_replaced(tmp_path: Path) -> None:
    place = gguf_file(tmp_path / "there.gguf", arch="llama", kind="adapter", name="Mine Lora")
    with pytest.raises(DataError, match=r"is no such export \(adapter named 'Mine Lora'\), so it is not replaced"):
        placing.check_file(place, kinds=("adapter",), force=True)


def test_a_folder_within_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "export" / "model.safetensors").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds model.safetensors, which"):
        placing.check_folder(tmp_path / "export", holds=HOLDS, force=True)


def test_an_empty_folder_is_filled_and_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    placing.check_folder(tmp_path / "empty", holds=HOLDS, force=False)
    fill(tmp_path / "empty", "all")
    assert tree(tmp_path)["empty/model.safetensors"] == b"all"
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    with pytest.raises(DataError, match="is no folder"):
        placing.check_folder(tmp_path / "link", holds=HOLDS, force=True)


@pytest.mark.parametrize(
    ("arch", "kind", "replaced"),
    [("llama", "adapter", True), ("llama", None, False), ("llama", "model", False), ("controlvector", None, False)],
)
def test_no_model_is_replaced_by_an_adapter(tmp_path: Path, arch: str, kind: str | None, replaced: bool) -> None:
    place = gguf_file(tmp_path / "there.gguf", arch=arch, kind=kind)
    if replaced:
        placing.check_file(place, kinds=("adapter",), force=True)
        with pytest.raises(DataError, match="is there already"):
            placing.check_file(place, kinds=("adapter",), force=False)
    else:
        with pytest.raises(DataError, match=rf"is no such export \({arch}\), so it is not replaced"):
            placing.check_file(place, kinds=("adapter",), force=True)


def test_another_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.gguf").write_text("years")
    with pytest.raises(DataError, match=r"is no such export \(no GGUF file"):
        placing.check_file(tmp_path / "notes.gguf", kinds=("adapter",), force=True)
    with pytest.raises(DataError, match=r"does not end in \.gguf"):
        placing.check_file(tmp_path / "notes", kinds=("adapter",), force=True)
    placing.check_file(tmp_path / "new.gguf", kinds=("adapter",), force=False)


def test_others_may_read_what_the_user_may_share(tmp_path: Path) -> None:
    with placing.folder(tmp_path / "export", holds=HOLDS) as scratch:
        (scratch / "model.safetensors").write_text("all")
        (scratch / "model.safetensors").chmod(0o600)
    (tmp_path / "any").write_text("")
    rights = [path.stat().st_mode & 0o777 for path in (tmp_path / "any", tmp_path / "export" / "model.safetensors")]
    assert rights[0] == rights[1]
