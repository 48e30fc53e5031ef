"""Scar of a simulated heart at every node of its mesh, from a few thick slices, compared with the truth."""

import deeprecon

case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=4)
lge = deeprecon.read_volume(case.outputs["lge"])
myocardium = deeprecon.read_segmentation(case.outputs["segmentation"])

found = deeprecon.scar.reconstruct(
    mesh=case.outputs["mesh"],
    lge=lge,
    myocardium=myocardium,
    threshold="fwhm",
    method="interpolation",  # quick; left out, an ensemble of networks is fitted
)
print(found)
print("largest probability:", found.probability.max())

compared = deeprecon.scar.evaluate(found.mesh, case.outputs["truth"])
print("Dice coefficient:", compared.figures["dice"])
