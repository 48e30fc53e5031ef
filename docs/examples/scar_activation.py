"""From slices of a simulated heart to a simulation mesh, scar, fibers, isochrones and files for openCARP."""

import deeprecon

case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=5)
myocardium = deeprecon.read_segmentation(case.outputs["segmentation"])

wall = deeprecon.scar.simulation_mesh(myocardium=myocardium, edge=4)  # a simulation needs 0.3 to 1 mm
print("smallest angle between two faces:", wall.figures["smallest_angle_degrees"], "degrees")

found = deeprecon.scar.reconstruct(
    mesh=wall.outputs["mesh"],
    lge=case.outputs["lge"],
    myocardium=myocardium,
    threshold="fwhm",
    method="interpolation",
)
fibers = deeprecon.scar.fibers(mesh=found.outputs["mesh"], landmarks=case.outputs["landmarks"])

apex = fibers.mesh.points[fibers.mesh.point_array("apicobasal").argmin()]
activation = deeprecon.scar.activation(mesh=fibers.outputs["mesh"], site=tuple(apex.tolist()))
times = activation.mesh.point_array("activation_time")
print("isochrones from", times[times == times].min(), "to", times[times == times].max(), "ms")
print("largest delay by scar:", activation.figures["largest_delay_ms"], "ms")

exported = deeprecon.scar.export(mesh=fibers.outputs["mesh"], format="opencarp", experiment=True)
print(sorted(path.name for path in exported.outputs.values())[:5])
