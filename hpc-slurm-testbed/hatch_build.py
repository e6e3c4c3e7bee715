"""Put the files that the image is made from into the wheel, so that it works without a checkout.

The files are kept where the repository needs them. They are copied in the repository's own layout,
so compose.yaml and the Dockerfile are the same in a checkout and in a wheel. An editable
installation uses its checkout, and nothing is copied.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLED_FILES = (
    ".dockerignore",
    "docker",
    "hpc-slurm-testbed/compose.yaml",
    "hpc-slurm-testbed/slurm",
    "{{cookiecutter.project_slug}}/toolkit/pyproject.toml",
)


class BundleImageHook(BuildHookInterface[Any]):
    """Add the files to wheels, and to source distributions, of which wheels are made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; hatchling calls this before a build."""
        if version == "editable":
            return
        root = Path(self.root)
        unpacked = root / "repository"  # where a source distribution has them
        source = unpacked if unpacked.is_dir() else root.parent
        target = "repository" if self.target_name == "sdist" else "hpc_testbed/repository"
        for name in BUNDLED_FILES:
            if not (source / name).exists():
                raise FileNotFoundError(
                    f"{source / name}: build from a checkout of the whole repository"
                )
            build_data["force_include"][str(source / name)] = f"{target}/{name}"
