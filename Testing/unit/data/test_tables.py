"""CSV tables."""

from __future__ import annotations

import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table, write_table


def test_rows_come_back_as_text(tmp_path):
    path = tmp_path / "Tabelle é.csv"
    write_table(path, [{"name": "Müller, 心", "ml": 3.5}, {"name": 'a "b"\nc', "ml": None, "extra": 1}])
    assert read_table(path) == [
        {"name": "Müller, 心", "ml": "3.5", "extra": ""},
        {"name": 'a "b"\nc', "ml": "", "extra": "1"},
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_tolerated(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfcase, mesh\r\n1,a.vtk\r\n\r\n")
    assert read_table(tmp_path / "t.csv") == [{"case": "1", "mesh": "a.vtk"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"a,a\n1,2\n", "twice"),
        (b"a,b\n1\n", "row 2: 1 values for 2 columns"),
        (b"a,b\n1,2\n\n3\n", "row 4: 1 values"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        (b'a,b\n1,"x\n', "not valid CSV"),
    ],
)
def test_broken_tables_are_refused_in_words(tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "t.csv")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"t\.csv"):
        read_table(tmp_path / "t.csv")
