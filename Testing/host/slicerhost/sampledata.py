"""Stand-in for Slicer's SampleData module: the registry of samples, without any download."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from typing import Any

import slicer


@dataclasses.dataclass
class SampleDataSource:
    """One sample. The file lists are needed, of equal length, even where a customDownloader makes the data."""

    sampleName: str | None = None
    uris: Any = None
    fileNames: Any = None
    nodeNames: Any = None
    checksums: Any = None
    loadFiles: Any = None
    customDownloader: Callable[..., Any] | None = None
    thumbnailFileName: str | None = None
    loadFileType: Any = None
    loadFileProperties: Any = None

    def __post_init__(self) -> None:
        """Makes lists of single values; ValueError where the lengths differ."""
        single = isinstance(self.uris, str)
        if not single and not isinstance(self.uris, (list, tuple)):
            raise ValueError("a sample data source needs uris, also with a customDownloader")
        count = 1 if single else len(self.uris)
        for name in ("uris", "fileNames", "nodeNames", "checksums", "loadFiles", "loadFileType"):
            value = getattr(self, name)
            if single:
                setattr(self, name, [value])
            elif value is None or (name == "loadFileType" and isinstance(value, str)):
                setattr(self, name, [value] * count)
        if self.fileNames == [None] * count:
            raise ValueError("a sample data source needs fileNames")
        lists = (self.uris, self.fileNames, self.nodeNames, self.checksums, self.loadFiles, self.loadFileType)
        if len(set(map(len, lists))) != 1:
            raise ValueError(f"All fields of sample data source must have the same length: {lists}")


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **arguments: Any) -> None:
        source = SampleDataSource(**arguments)
        if not SampleDataLogic.isSampleDataSourceRegistered(category, source):
            SampleDataLogic.sampleDataSourcesByCategory().setdefault(category, []).append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources
        return sources if category is None else sources.get(category, [])

    @staticmethod
    def isSampleDataSourceRegistered(category: str, sampleDataSource: SampleDataSource) -> bool:
        return sampleDataSource in SampleDataLogic.sampleDataSourcesByCategory(category)

    def sourceForSampleName(self, sampleName: str) -> SampleDataSource | None:
        sources = (s for group in self.sampleDataSourcesByCategory().values() for s in group)
        return next((s for s in sources if s.sampleName == sampleName), None)

    def downloadSamples(self, sampleName: str) -> list[Any]:
        """Always raises: Slicer downloads the source's URIs here, even where it has a customDownloader.

        Only the sample's button in the Sample Data panel calls the customDownloader (`Host.clickSample`).
        """
        raise RuntimeError(
            f"SampleData would download '{sampleName}' from the network; a customDownloader is not called"
        )

    def downloadSample(self, sampleName: str) -> Any:
        return self.downloadSamples(sampleName)[0]


def buildSampleDataModule() -> types.ModuleType:
    """The module `SampleData`."""
    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    return module
