"""The terms in which DICOM objects say what a reconstruction shows, as codes of SNOMED CT, DICOM and UCUM.

Sources: PS3.16, CID 3717 (segments of the left ventricle), CID 7150 and 7151 (properties of segments). What has no
term there has one of our own, in the scheme 99DEEPRECON.
"""

from __future__ import annotations

from deeprecon.data.dicom.objects.elements import Elements, code
from deeprecon.scar.measure.aha import SEGMENTS

TISSUE = code("85756007", "SCT", "Tissue")
ALTERED = code("49755003", "SCT", "Morphologically Altered Structure")
HEART = code("80891009", "SCT", "Heart")
MYOCARDIUM = code("74281007", "SCT", "Myocardium")
SCAR = code("12402003", "SCT", "Scar")
CARDIAC_MRI = code("241620005", "SCT", "Magnetic resonance imaging of heart")
PROBABILITY = code("122157", "DCM", "Probability")


def _own(value: str, meaning: str) -> Elements:
    return code(value, "99DEEPRECON", meaning)


CORE = _own("CORE", "Core of scar")
BORDER_ZONE = _own("BORDER_ZONE", "Border zone of scar")
UNCERTAIN_EDGE = _own("UNCERTAIN_EDGE", "Uncertain edge of scar")
NOT_OBSERVED = _own("NOT_OBSERVED", "Wall that no image shows")

NO_UNITS = code("1", "UCUM", "no units")
_ML, _G = code("ml", "UCUM", "milliliter"), code("g", "UCUM", "gram")
_CM2, _PERCENT = code("cm2", "UCUM", "square centimeter"), code("%", "UCUM", "percent")

_VOLUME, _MASS = code("118565006", "SCT", "Volume"), code("118538004", "SCT", "Mass")
_LOW, _HIGH = _own("SPREAD_LOW", "Lower end of the spread"), _own("SPREAD_HIGH", "Upper end of the spread")
REGION_MEASURES = {
    "volume_ml": (_VOLUME, _ML),
    "area_cm2": (code("42798000", "SCT", "Area"), _CM2),
    "mass_g": (_MASS, _G),
    "percent_of_wall": (_own("SHARE_OF_WALL", "Share of the wall"), _PERCENT),
    "low_ml": (_LOW, _ML),
    "high_ml": (_HIGH, _ML),
    "low_cm2": (_LOW, _CM2),
    "high_cm2": (_HIGH, _CM2),
    "interface_cm2": (_own("INTERFACE", "Area of the border with the rest of the wall"), _CM2),
}
"""Columns of the table of burden: concept and unit."""
AHA_MEASURES = {
    "scar_ml": (_VOLUME, _ML),
    "scar_g": (_MASS, _G),
    "scar_percent": (_own("SHARE_OF_SEGMENT", "Share of the segment"), _PERCENT),
    "wall_ml": (_own("SEGMENT_VOLUME", "Volume of the segment"), _ML),
    "low_ml": (_LOW, _ML),
    "high_ml": (_HIGH, _ML),
    "mean_transmurality_percent": (_own("TRANSMURALITY", "Mean transmurality of scar"), _PERCENT),
    "transmural_share_percent": (_own("TRANSMURAL_SHARE", "Area with transmurality above 50 %"), _PERCENT),
    "not_observed_percent": (_own("NOT_OBSERVED_SHARE", "Share that no image shows"), _PERCENT),
}
"""Columns of the table of segments: concept and unit, of the scar in the segment."""

_AHA_CODES = (
    "264850008", "396482007", "396646008", "264846001", "396652009", "396654005",
    "264848000", "396647004", "396649001", "264847005", "396655006", "396656007",
    "264844003", "264845002", "264849008", "264853005", "128564006",
)  # fmt: skip
AHA_SEGMENTS = tuple(
    code(value, "SCT", "Apex of left ventricle" if name == "apex" else f"left ventricle {name} segment")
    for value, name in zip(_AHA_CODES, SEGMENTS, strict=True)
)
"""Segments 1 to 17."""
