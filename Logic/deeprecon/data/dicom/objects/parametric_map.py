"""DICOM parametric maps: a quantity as floating-point frames (PS3.3, A.75, Parametric Map)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeprecon.data.dicom.objects.elements import Elements, code, unique_identifier, write_object
from deeprecon.data.dicom.objects.multiframe import common_elements, frame_elements, image_elements
from deeprecon.data.dicom.objects.study import NewSeries
from deeprecon.data.volume import Volume

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_TYPE = ["DERIVED", "PRIMARY", "VOLUME", "QUANTITY"]
_RESAMPLED = code("113085", "DCM", "Spatial resampling")
_QUANTITY = code("246205007", "SCT", "Quantity")


def write_parametric_map(
    path: Path,
    volume: Volume,
    quantity: Elements,
    unit: Elements,
    limits: tuple[float, float],
    padding: float,
    series: NewSeries,
) -> tuple[str, str]:
    """Write a volume of a quantity, every slice as a frame.

    Args:
        path: of the file.
        volume: float32.
        quantity, unit: codes of what is mapped and its unit.
        limits: smallest and largest value that there can be.
        padding: value that stands where there is none.
        series: that the file makes.

    Returns:
        UIDs of the series and the instance.
    """
    common = common_elements(series, "OT")
    low, high = limits
    groups = {
        "ParametricMapFrameTypeSequence": [{"FrameType": _TYPE}],
        "PixelValueTransformationSequence": [{"RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US"}],
        "FrameVOILUTSequence": [{"WindowCenter": str((low + high) / 2), "WindowWidth": str(high - low)}],
        "RealWorldValueMappingSequence": [
            {
                "LUTExplanation": quantity["CodeMeaning"],
                "LUTLabel": "VALUE",
                "DoubleFloatRealWorldValueFirstValueMapped": min(low, padding),  # readers refuse values outside
                "DoubleFloatRealWorldValueLastValueMapped": max(high, padding),
                "RealWorldValueIntercept": 0.0,
                "RealWorldValueSlope": 1.0,
                "MeasurementUnitsCodeSequence": [unit],
                "QuantityDefinitionSequence": [
                    {"ValueType": "CODE", "ConceptNameCodeSequence": [_QUANTITY], "ConceptCodeSequence": [quantity]}
                ],
            }
        ],
    }
    write_object(
        path,
        {
            **common,
            **image_elements(series, volume.ijk_to_ras, volume.array.shape, _RESAMPLED, groups),
            **frame_elements(
                volume.ijk_to_ras, range(len(volume.array)), unique_identifier(series.digest, "dimensions of the map")
            ),
            "SOPClassUID": PARAMETRIC_MAP,
            "ImageType": _TYPE,
            "PixelPresentation": "MONOCHROME",
            "ContentQualification": "RESEARCH",
            "RecognizableVisualFeatures": "NO",
            "PresentationLUTShape": "IDENTITY",
            "AcquisitionContextSequence": [],
            "BitsAllocated": 32,
            "FloatPixelPaddingValue": padding,
            "FloatPixelPaddingRangeLimit": padding,
            "ContentLabel": "PROBABILITY",
            "ContentDescription": series.content,
            "ContentCreatorName": "",
            "FloatPixelData": np.ascontiguousarray(volume.array, "<f4").tobytes(),
        },
    )
    return common["SeriesInstanceUID"], common["SOPInstanceUID"]
