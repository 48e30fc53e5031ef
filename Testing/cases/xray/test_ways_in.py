"""Each kind of film and CT through shell, batch and panel: the same right value.

A synthesis takes minutes. What is right is known once the film has been read and considered, so each way is followed
until then: the task of `ctpa synthesize` with the reading alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from deeprecon.cli import main
from deeprecon.ctpa import task
from deeprecon.ctpa.parameters import SynthesizeParameters
from deeprecon.worker import run_job
