"""CSV files: their contents, and the place of each mistake in one."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends.errors import DataError
from lamina.train.data import Dataset, read_csv
from lamina.train.data import text as text_module


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.csv"


def read(file: Path, text: str | bytes, **options: Any) -> Dataset:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(file, **options)


def test_header_and_text_classes(file: Path) -> None:
    data = read(file, "length,width,kind\n1,2.5,rose\n-3e2,4,fern\n5,6,rose\n")
    np.testing.assert_array_equal(data.inputs, [[1, 2.5], [-300, 4], [5, 6]])
    assert data.targets.tolist() == [1, 0, 1]
    assert data.classes == ("fern", "rose")
    assert data.feature_names == ("length", "width")
    assert data.name == "mine.csv"


def test_without_header(file: Path) -> None:
    data = read(file, "5.1,3.5,setosa\n4.9,3.0,setosa\n6.0,2.2,virginica\n")
    assert data.feature_names is None
    assert data.inputs.shape == (3, 2)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_are_found(file: Path, delimiter: str) -> None:
    data = read(file, "a,b,y\n1,2,0\n3,4,1\n".replace(",", delimiter))
    np.testing.assert_array_equal(data.inputs, [[1, 2], [3, 4]])


def test_an_explicit_delimiter(file: Path) -> None:
    assert read(file, "1|2|0\n3|4|1\n", delimiter="|").inputs.shape == (2, 2)


def test_byte_order_mark_quotes_blank_lines_and_crlf(file: Path) -> None:
    data = read(file, '\ufeffa,"b, wide",y\r\n\r\n 1 ,"2",x\r\n3,4,z\r\n\r\n')
    assert data.feature_names == ("a", "b, wide")
    np.testing.assert_array_equal(data.inputs, [[1, 2], [3, 4]])


@pytest.mark.parametrize("target", ["b", 1, "1", -2])
def test_target_by_name_or_number(file: Path, target: str | int) -> None:
    data = read(file, "a,b,c\n1,0,5\n2,1,6\n", target=target)
    np.testing.assert_array_equal(data.inputs, [[1, 5], [2, 6]])
    assert data.targets.tolist() == [0, 1]
    assert data.feature_names == ("a", "c")


def column(values: list[Any]) -> str:
    return "x,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([0, 1, 1], ("0", "1")),
        ([3, -1, 10, 3, -1, 10], ("-1", "3", "10")),
        (["1.0", "2.0", "1.0"], ("1.0", "2.0")),
        (["501", "00501"] * 2, ("00501", "501")),
        ([2**53 + 1, 2**53] * 2, ("9007199254740992", "9007199254740993")),
        ([f"{i % 25:03}" for i in range(100)], tuple(f"{i:03}" for i in range(25))),
        ([2**60 + i % 25 for i in range(100)], tuple(str(2**60 + i) for i in range(25))),
        (["9" * 400, "8" * 400], ("8" * 400, "9" * 400)),
        (["+1", "-1", "+1"], ("-1", "+1")),
        (["1", "1.0", "+1", "1e0"] * 8, ("+1", "1", "1.0", "1e0")),
        (["1e3", "2e3"] * 2, ("1e3", "2e3")),
        ([" x y ", "x y", '" x y "'], ("x y",)),
        (["0.5", "05"] * 9, None),
        ([i % 20 for i in range(40)], tuple(map(str, range(20)))),
        ([i % 21 for i in range(84)], None),
        ([1, 2, 3, 4, 5], None),
        ([0.5, 1, 0.5, 1], None),
    ],
)
def test_auto_distinguishes_classes_from_numbers(
    file: Path, values: list[Any], classes: tuple[str, ...] | None
) -> None:
    data = read(file, column(values))
    assert data.classes == classes
    if classes is None:
        np.testing.assert_array_equal(data.targets, np.array(values, float)[:, None])
    else:
        assert [classes[label] for label in data.targets] == [str(value).strip('" ') for value in values]


@pytest.mark.parametrize(
    ("text", "header", "names", "rows", "says"),
    [
        ("2019,2020,7\n1,2,0\n", None, None, 2, "line 1 (2019, 2020, 7) is data; --header reads it"),
        ("2019,2020,7\n1,2,0\n", True, ("2019", "2020"), 1, "line 1 (2019, 2020, 7) names the columns"),
        ("a,1,y\n1,2,0\n", True, ("a", "1"), 1, "line 1 (a, 1, y) names the columns"),
        ("\nb,a,y\n1,2,0\n", None, ("b", "a"), 1, "line 2 (b, a, y) names the columns; --no-header"),
        ("1,2,3,4,5,y\n", False, None, 1, "line 1 (1, 2, 3, 4, ...) is data"),
    ],
)
def test_the_first_row(
    file: Path, text: str, header: bool | None, names: tuple[str, ...] | None, rows: int, says: str
) -> None:
    data = read(file, text, header=header)
    assert (data.feature_names, len(data)) == (names, rows)
    assert data.notes[0].startswith(says)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["1", "1.0"], "'1', '1.0' are different classes, because class names are text"),
        (["1", "1.0", "007", "7"], "'1', '1.0' are different classes, .* 1 more such"),
        (["a", "NA", "a", "b"], "'NA' is read as a class; remove its rows if"),
        (["a", "1_0", "10", "10", "a"], ""),
    ],
)
def test_classes_that_look_alike_are_said(file: Path, values: list[str], says: str) -> None:
    notes = read(file, column(values), task="classification").notes[1:]
    assert len(notes) == bool(says)
    assert all(re.match(says, note) for note in notes)


def test_gzip_is_seen_in_the_bytes(file: Path) -> None:
    assert read(file, gzip.compress(b"a,y\n1,0\n2,1\n")).feature_names == ("a",)


def test_task_overrides_auto(file: Path) -> None:
    assert read(file, column([0, 1, 0]), task="regression").targets.dtype == np.float64
    assert read(file, column(list(range(30))), task="classification").n_outputs == 30
    assert read(file, column(["a", "b", "c", "d"]), task="classification").n_outputs == 4
    assert read(file, column([0, 1, "NA"]), task="classification").classes == ("0", "1", "NA")


@pytest.mark.parametrize("rows", ["1,0\n0,1\n" * 25_000, "".join(f"1,{i}\n" for i in range(25_000))])
def test_memory_is_bounded_by_the_file(file: Path, rows: str) -> None:
    file.write_text(rows)
    tracemalloc.start()
    try:
        read_csv(file)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(rows) + 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["ab\t" * 10**6, "ab," * 10**6 + "\n"])
def test_a_line_of_a_million_cells_takes_little_memory(file: Path, text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="line 1: expected at most 100,000 columns, got 1,000,001"):
            read(file, text)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(text)
    finally:
        tracemalloc.stop()


def test_the_most_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "MOST_COLUMNS", 1000)
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{k}" for k in range(1000)) + "\n" + ",".join("1" * 1000) + "\n")
    assert read_csv(path).inputs.shape == (1, 999)


def test_columns_are_named_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = ",".join(f"c{k}" for k in range(99_999))
    path.write_text(f"{names},c7\n" + ",".join("1" * 100_000) + "\n")
    with pytest.raises(DataError, match="expected different column names, got 'c7' more than once"):
        read_csv(path)
