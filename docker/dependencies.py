"""Print what a pyproject.toml asks for, a requirement a line: `dependencies.py FILE [EXTRA …]`."""

import sys
import tomllib
from pathlib import Path

data = tomllib.loads(Path(sys.argv[1]).read_text())
project = data["project"]
print(*project["dependencies"], sep="\n")
for extra in sys.argv[2:]:
    print(*project["optional-dependencies"][extra], sep="\n")
# pip installs the project itself without build isolation, so its build tool belongs here too.
print(*data["build-system"]["requires"], "editables", sep="\n")
