"""The cache of objects: what it keeps, what it refuses, and two processes at once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from lamina.backends import OptionError
from lamina.backends.decorators.jit.ir import INDEX, POINTER, Module
from lamina.backends.decorators.jit.machine import build, host
from lamina.backends.decorators.jit.objects import Objects, folder, key_of, objects

CODE = b"machine code"
KEY = key_of("text")


@pytest.fixture
def cache(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "deep" / "objects")


def test_an_object_is_found_again_by_another_instance(cache: Objects) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, CODE)
    assert Objects(cache.place).get(KEY) == CODE
    assert Objects(cache.place).get(key_of("other")) is None
    assert cache.place.stat().st_mode & 0o777 == 0o700
    assert (cache.usage().entries, cache.usage().size) == (1, 32 + len(CODE))


def test_the_key_depends_on_every_part() -> None:
    keys = {key_of("a", "b"), key_of("ab"), key_of("a", "", "b"), key_of("b", "a"), key_of(b"a", "c")}
    assert len(keys) == 5


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_damaged_object_is_reported_once_and_not_run(cache: Objects, damage: str) -> None:
    cache.put(KEY, CODE)
    path = cache.place / f"{KEY}.o"
    data = path.read_bytes()
    path.write_bytes(
        {"flip": data[:-1] + b"x", "cut": data[:-3], "empty": b"", "longer": data + b"x"}[damage]
    )
    other = Objects(cache.place)
    with pytest.warns(RuntimeWarning, match=r"LAMINA_CACHE: .* is damaged; .*lamina cache --clear"):
        assert other.get(KEY) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert other.get(KEY) is None
        other.put(KEY, CODE)
    assert not path.exists()
    assert Objects(cache.place).get(KEY) is None


def test_a_folder_that_others_can_write_is_not_used(cache: Objects) -> None:
    cache.put(KEY, CODE)
    cache.place.chmod(0o777)
    for use in (lambda c: c.get(KEY), lambda c: c.put(KEY, CODE)):
        with pytest.warns(RuntimeWarning, match="can be written by other users"):
            assert use(Objects(cache.place)) is None


def test_a_file_that_others_can_write_or_that_is_a_link_is_not_run(cache: Objects, tmp_path: Path) -> None:
    cache.put(KEY, CODE)
    path = cache.place / f"{KEY}.o"
    path.chmod(0o666)
    with pytest.warns(RuntimeWarning, match="cannot be read"):
        assert Objects(cache.place).get(KEY) is None
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="cannot be read"):
        assert Objects(cache.place).get(KEY) is None


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Objects(tmp_path / "file" / "objects")
    with pytest.warns(RuntimeWarning, match=r"cannot be (written|read)"):
        cache.put(KEY, CODE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEY, CODE)
        assert cache.get(KEY) is None


def test_what_was_used_the_longest_ago_is_dropped_first(tmp_path: Path) -> None:
    cache = Objects(tmp_path, largest=3 * (32 + len(CODE)))
    tmp_path.chmod(0o700)
    keys = [key_of(str(i)) for i in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.put(key, CODE)
        os.utime(tmp_path / f"{key}.o", (1000 + age, 1000 + age))
    assert cache.get(keys[0]) == CODE
    cache.put(keys[3], CODE)
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]


def test_clear_deletes_the_objects_alone(cache: Objects) -> None:
    cache.put(KEY, CODE)
    for name in ("notes.txt", "mine.o"):
        (cache.place / name).write_text("mine")
    old, new = cache.place / "unfinished-a", cache.place / "unfinished-b"
    for path in (old, new):
        path.write_text("unfinished")
    os.utime(old, (1000, 1000))
    assert cache.clear().entries == 1
    assert sorted(p.name for p in cache.place.iterdir()) == ["mine.o", "notes.txt", "unfinished-b"]
    assert cache.clear().entries == 0


def test_lamina_cache_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    assert folder() == tmp_path
    assert objects() is objects()
    monkeypatch.setenv("LAMINA_CACHE", "off")
    assert folder() is objects() is None
    monkeypatch.setenv("LAMINA_CACHE", "here")
    with pytest.raises(OptionError, match="LAMINA_CACHE: expected an absolute path or 'off', got 'here'"):
        folder()
    monkeypatch.setenv("LAMINA_CACHE", " ")
    default = folder()
    assert default is not None
    assert default.parts[-2:] == ("lamina", "objects")


def _program() -> Module:
    module = Module(host())
    code, (p,) = module.function("f", [POINTER])
    code.store(code.number(INDEX, 42), p)
    return module


def test_a_program_is_compiled_once(cache: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _program()
    first = build(module.text(), module.names, host(), cache)
    monkeypatch.setattr("lamina.backends.decorators.jit.machine.compiled", lambda *_: pytest.fail("compiled"))
    second = build(module.text(), module.names, host(), Objects(cache.place))
    assert first.size == second.size
    assert hashlib.sha256(cache.get(_key(module)) or b"").hexdigest()


def _key(module: Module) -> str:
    return key_of(module.text(), host().cpu, host().features, host().llvm)


RUN = """
import sys
sys.path.insert(0, {helpers!r})
import ctypes, numpy as np, warnings
warnings.simplefilter("error")
from lamina.backends.decorators.jit.ir import INDEX, POINTER, Module
from lamina.backends.decorators.jit.machine import build, host
from lamina.backends.decorators.jit.objects import objects
for i in range(8):
    module = Module(host())
    code, (p,) = module.function("f", [POINTER])
    code.store(code.number(INDEX, i), p)
    run = build(module.text(), module.names, host(), objects()).function("f", ctypes.c_void_p)
    out = np.full(1, -1)
    run(out.ctypes.data)
    assert out[0] == i
"""


def test_two_processes_may_fill_one_cache(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    environment = {**os.environ, "LAMINA_CACHE": str(place)}
    command = [sys.executable, "-c", RUN.format(helpers=str(Path(__file__).parent))]
    running = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert sorted(p.suffix for p in place.iterdir()) == [".o"] * 8
