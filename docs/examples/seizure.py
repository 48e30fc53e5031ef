"""Seizures in a simulated recording of a wrist's acceleration, by networks that are trained first."""

import numpy as np

import deeprecon

users = deeprecon.seizure.phantom(users=6, seizures=1, minutes=1, recording=0.05)
data = deeprecon.seizure.prepare(users.outputs["events"])
trained = deeprecon.seizure.train(data.outputs["data"], models=1, steps=1)  # quick, and good for nothing

samples = np.loadtxt(users.outputs["recording"], delimiter=",", skiprows=1)  # (N, 4): t, x, y, z
found = deeprecon.seizure.detect(samples, trained.outputs["bundle"])
print(found)
for alarm in found.alarms:
    print(f"alarm at {alarm['onset_s']} s for {alarm['duration_s']} s")
