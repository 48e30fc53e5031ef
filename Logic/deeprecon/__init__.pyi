from deeprecon import ctpa as ctpa
from deeprecon import dwmri as dwmri
from deeprecon import scar as scar
from deeprecon import scattering as scattering
from deeprecon import seizure as seizure
from deeprecon.calls.result import Result as Result
from deeprecon.data.diffusion.files import read_dwi as read_dwi
from deeprecon.data.diffusion.scan import DwiScan as DwiScan
from deeprecon.data.doubts import Doubt as Doubt
from deeprecon.data.doubts import DoubtError as DoubtError
from deeprecon.data.errors import InputError as InputError
from deeprecon.data.mesh.mesh import Mesh as Mesh
from deeprecon.data.segmentation import Segment as Segment
from deeprecon.data.segmentation import Segmentation as Segmentation
from deeprecon.data.segmentation import read_segmentation as read_segmentation
from deeprecon.data.tables import read_table as read_table
from deeprecon.data.volume import Volume as Volume
from deeprecon.data.volume_io import read_volume as read_volume

__version__: str
