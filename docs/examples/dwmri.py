"""A simulated diffusion scan, denoised from arrays, and its error before and after."""

import numpy as np

import deeprecon

head = deeprecon.dwmri.phantom(columns=20, rows=20, slices=6, shells="1000:12")
noisy = deeprecon.read_dwi(head.outputs["dwi"])
truth = deeprecon.read_dwi(head.outputs["truth"])
bvals, bvecs = (np.loadtxt(head.outputs[kind]) for kind in ("bval", "bvec"))

scan = deeprecon.DwiScan.from_fsl(noisy.array, noisy.ijk_to_ras, bvals, bvecs)
better = deeprecon.dwmri.enhance(dwi=scan, method="pca")  # method left out: a network trained on the scan itself
assert better.mask is not None

inside = better.mask.array.astype(bool)
for name, array in (("before", noisy.array), ("after", better.scan.array)):
    error = np.sqrt(np.mean((array[inside] - truth.array[inside]) ** 2))
    print(f"root mean square error {name}: {error:.2f}")
