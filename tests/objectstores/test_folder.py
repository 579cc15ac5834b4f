"""What a folder of files needs beyond the contract of all stores."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from objectstores import Misconfigured, NotFound, StoreError, TooLarge, open_store


@pytest.mark.parametrize("name", ["../out", "a/../b", "/absolute", ".", "a/./b", "a//b", "a/", "nul\0", ".fnloader-x"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_bytes(b"not yours")
    store = open_store((tmp_path / "in").as_uri())
    for use in (store.read, lambda bad: store.write(bad, b""), lambda bad: store.delete([bad])):
        with pytest.raises(Misconfigured):
            use(name)
    assert (tmp_path / "out").read_bytes() == b"not yours"


def test_links_that_lead_out_of_the_folder_are_not_there(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "secret").write_bytes(b"secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "linked").symlink_to(tmp_path / "folder")
    (inside / "nowhere").symlink_to(tmp_path / "nothing")
    (inside / "circle").symlink_to(inside)
    (inside / "itself").symlink_to(inside / "itself")
    (inside / "real").write_bytes(b"content")
    (inside / "same").symlink_to(inside / "real")
    store = open_store(inside.as_uri())
    assert [one.name for one in store.list()] == ["real", "same"]
    assert store.read("same") == b"content"
    for name in ("link", "linked/secret", "nowhere"):
        with pytest.raises(NotFound):
            store.read(name)
    with pytest.raises(NotFound):
        store.write("linked/new", b"")
    with pytest.raises(NotFound):
        store.delete(["linked/secret"])
    assert (tmp_path / "folder" / "secret").exists()


def test_it_leaves_no_temporary_file_behind(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.write("folder/one", b"1")
    with pytest.raises(StoreError):
        store.write("folder/one", b"2", only_if_absent=True)
    with pytest.raises(StoreError):
        store.write("folder", b"a folder is there")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["folder", "folder/one"]


def test_what_a_killed_writer_left_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".fnloader-0123").write_bytes(b"half of")
    (tmp_path / ".hidden").write_bytes(b"")
    assert [one.name for one in open_store(tmp_path.as_uri()).list()] == [".hidden"]


def test_only_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    assert list(open_store(tmp_path.as_uri()).list()) == []


def test_files_and_folders_that_vanish_during_a_listing_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c/d", "e"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listing = open_store(tmp_path.as_uri()).list()
    assert next(listing).name == "a"
    (tmp_path / "b").unlink()
    (tmp_path / "c" / "d").unlink()
    (tmp_path / "c").rmdir()
    assert [one.name for one in listing] == ["e"]


def test_a_name_that_is_no_utf_8_is_listed_as_the_system_names_it(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_bytes(b"")
    assert [one.name for one in open_store(tmp_path.as_uri()).list()] == ["caf\udce9"]


def test_a_file_that_was_replaced_has_another_etag(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    first = store.write("one", b"content")
    times = (tmp_path / "one").stat()
    second = store.write("one", b"CONTENT")
    os.utime(tmp_path / "one", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len({first, second, next(store.list()).etag}) >= 2
    assert next(store.list()).etag != first


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(TooLarge):
        open_store(tmp_path.as_uri()).read("large", limit=10**6)


def test_a_listing_holds_names_and_nothing_else_in_memory(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number}.fasta").touch()
    # In a process of its own: threads of other tests allocate, too.
    code = f"""
import tracemalloc
from objectstores import open_store

store = open_store({tmp_path.as_uri()!r})
next(store.list())
tracemalloc.start()
assert sum(1 for _ in store.list()) == 3000
print(tracemalloc.get_traced_memory()[1])
"""
    peak = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert peak < 3000 * 200


def test_what_took_the_name_of_a_file_since_it_was_listed_is_not_read(tmp_path: Path) -> None:
    inside, secret = tmp_path / "in", tmp_path / "secret"
    inside.mkdir()
    secret.write_bytes(b"secret")
    store = open_store(inside.as_uri())
    etag = store.write("file", b"")
    for take_its_place in (
        lambda path: path.symlink_to(secret),
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        Path.mkdir,
    ):
        (inside / "file").unlink()
        take_its_place(inside / "file")
        for condition in ("", etag):
            with pytest.raises(StoreError):
                store.read("file", etag=condition)
        if (inside / "file").is_dir():
            break
    assert list(store.list()) == []


def test_a_folder_that_became_a_link_meanwhile_is_neither_listed_nor_read_nor_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "folder").mkdir(parents=True)
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    store = open_store(inside.as_uri())
    store.write("folder/file", b"own")
    opened = os.open

    def replace_then_open(path: str, *arguments: int, **options: int) -> int:
        # Whoever writes to the folder is quicker than the store: after its look at the path, before it opens it.
        if (inside / "folder").is_dir() and "folder" in str(path):
            (inside / "folder").rename(tmp_path / "moved")
            (inside / "folder").symlink_to(outside)
        return opened(path, *arguments, **options)

    for use in (
        lambda: store.read("folder/file"),
        lambda: store.write("folder/new", b""),
        lambda: store.delete(["folder/file"]),
        lambda: [one.name for one in store.list()],
    ):
        monkeypatch.setattr(os, "open", replace_then_open)
        with contextlib.suppress(NotFound):
            assert use() == []
        monkeypatch.undo()
        assert (inside / "folder").is_symlink()
        (inside / "folder").unlink()
        (tmp_path / "moved").rename(inside / "folder")
    assert [path.name for path in outside.iterdir()] == ["file"]


@pytest.fixture
def deep_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with 3,000 in one another, which Python can't remove."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("a", dir_fd=here)
        below = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    yield tmp_path
    subprocess.run(["rm", "-rf", tmp_path / "a"], check=True)


def test_folders_in_folders_end_where_no_path_can_be(deep_folder: Path) -> None:
    (deep_folder / "b").write_bytes(b"")
    (deep_folder / "/".join("a" * 400) / "file").write_bytes(b"")
    names = [one.name for one in open_store(deep_folder.as_uri()).list()]
    assert [name.rpartition("/")[2] for name in names] == ["file", "b"]
