"""DeepRecon: reconstruction, synthesis and enhancement of medical images. For research only, never for diagnosis.

`deeprecon.scar.reconstruct`, `ctpa.synthesize`, `dwmri.enhance`, `scattering.reconstruct`, `seizure.detect` and the
other verbs are loaded when they are first used.
"""

from deeprecon.lazy import attach

_PLACES = {
    **{method: f"deeprecon.{method}:" for method in ("ctpa", "dwmri", "scar", "scattering", "seizure")},
    "Doubt": "deeprecon.data.doubts:Doubt",
    "DoubtError": "deeprecon.data.doubts:DoubtError",
    "DwiScan": "deeprecon.data.diffusion.scan:DwiScan",
    "InputError": "deeprecon.data.errors:InputError",
    "Mesh": "deeprecon.data.mesh.mesh:Mesh",
    "Result": "deeprecon.calls.result:Result",
    "Segment": "deeprecon.data.segmentation:Segment",
    "Segmentation": "deeprecon.data.segmentation:Segmentation",
    "Volume": "deeprecon.data.volume:Volume",
    "__version__": "deeprecon.jobs.job:VERSION",
    "read_dwi": "deeprecon.data.diffusion.files:read_dwi",
    "read_segmentation": "deeprecon.data.segmentation:read_segmentation",
    "read_table": "deeprecon.data.tables:read_table",
    "read_volume": "deeprecon.data.volume_io:read_volume",
}
__all__ = list(_PLACES)
__getattr__, __dir__ = attach(__name__, _PLACES)
