"""Importing the package does nothing and loads no back end that Lightning did not."""

import json
import subprocess
import sys

CODE = """
import json, sys
import lightning.pytorch
before = set(sys.modules)
import lightning_dissect
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_no_heavy_import():
    output = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(output.splitlines()[-1]))
    assert not loaded & {"open_clip", "timm", "wandb", "matplotlib", "diffusers", "sklearn", "scipy", "tensorboard"}
