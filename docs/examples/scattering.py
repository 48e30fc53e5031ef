"""Images of the contrast of simulated objects, from their far fields, and their error."""

import deeprecon

made = deeprecon.scattering.phantom(count=3, k=4, rings=16)
print("objects and directions:", made.figures["objects"], made.figures["directions"])

found = deeprecon.scattering.reconstruct(made.outputs["data"], regularization=0.3, rings=16, grid=32, misfits=0)
print("images:", found.contrast.array.shape, "largest contrast:", found.contrast.array.max())

compared = deeprecon.scattering.evaluate(found.outputs["result"], made.outputs["data"])
print("relative error:", compared.figures["relative_l2"])
