"""A synthetic CT of a simulated chest X-ray, from an array: `python ctpa.py [BUNDLE]`.

Without a model bundle the phantom-trained demonstrator is used, which takes about a minute.
"""

import sys

import deeprecon

bundle = sys.argv[1] if len(sys.argv) > 1 else None
chest = deeprecon.ctpa.phantom().outputs["case_0000"]
film = deeprecon.read_volume(chest / "xray.nii.gz")  # a coronal slice, whose rows go from the feet to the head
xray = film.array[::-1, 0, :]

made = deeprecon.ctpa.synthesize(
    xray,
    bundle=bundle,
    pixel_spacing=float(film.spacing[0]),
    samples=1,
    steps=1,  # quick; left out, 20
)
print(made)
print("shape:", made.ct.array.shape, "HU:", made.ct.array.min(), "to", made.ct.array.max())
