"""What a type checker knows of the package from outside: at least 95 of 100 public names have a known type."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKER = shutil.which("basedpyright", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.mark.skipif(CHECKER is None, reason="basedpyright is not installed: pip install basedpyright")
def test_public_names_have_known_types():
    command = [CHECKER, "--pythonpath", sys.executable, "--verifytypes", "gradclinic", "--ignoreexternal"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([*command, "--outputjson"], capture_output=True, text=True, env=environment, cwd=ROOT)
    found = json.loads(run.stdout)["typeCompleteness"]
    assert Path(found["packageRootDirectory"]) == ROOT / "src/gradclinic"
    assert found["exportedSymbolCounts"]["withKnownType"] > 1500
    unknown = [symbol["name"] for symbol in found["symbols"] if symbol["isExported"] and not symbol["isTypeKnown"]]
    assert found["completenessScore"] >= 0.95, unknown
