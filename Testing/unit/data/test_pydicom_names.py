"""The library uses names of pydicom that Slicer's versions share: 2.4.4 (Slicer 5.10) and 3.0.2 (5.12)."""

from __future__ import annotations

import ast
from pathlib import Path

import deeprecon

SHARED = {
    "pydicom": {"Dataset", "dcmread"},
    "pydicom.datadict": {"dictionary_VR", "tag_for_keyword"},
    "pydicom.dataset": {"FileDataset", "FileMetaDataset"},
    "pydicom.filebase": {"DicomBytesIO"},
    "pydicom.filereader": {"read_dataset"},
    "pydicom.filewriter": {"write_dataset"},
    "pydicom.valuerep": {"MAX_VALUE_LEN", "format_number_as_ds"},
}
"""Looked up in both versions; the tests of this folder pass with both."""
ONLY_NEW = {"enforce_file_format", "implicit_vr", "little_endian", "pixel_array_options", "set_pixel_data"}
ONLY_OLD = {"write_like_original", "read_file", "write_file", "_is_implicit_VR"}


def test_only_names_of_both_versions_are_used() -> None:
    for path in Path(deeprecon.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pydicom"):
                assert {name.name for name in node.names} <= SHARED[node.module or ""], path
            assert not (isinstance(node, ast.Import) and any(name.name.startswith("pydicom") for name in node.names))
            if "dicom" in path.parts and isinstance(node, ast.Attribute | ast.keyword):
                name = node.attr if isinstance(node, ast.Attribute) else node.arg
                assert name not in ONLY_NEW | ONLY_OLD, path
