"""A wheel carries what the image is made of, so that it works without a checkout.

These files lie where the repository needs them. They are copied in the repository's own layout, so
compose.yaml and the Dockerfile are the same in a checkout and in a wheel. An editable installation
has its checkout and copies nothing.
"""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WHAT = (
    ".dockerignore",
    "docker",
    "hpc-slurm-testbed/compose.yaml",
    "hpc-slurm-testbed/slurm",
    "{{cookiecutter.project_slug}}/toolkit/pyproject.toml",
)


class CarryTheImage(BuildHookInterface):
    """Add the files to wheels, and to source distributions, of which wheels are made."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Called by hatchling before a build."""
        if version == "editable":
            return
        root = Path(self.root)
        unpacked = root / "repository"  # where a source distribution has them
        source = unpacked if unpacked.is_dir() else root.parent
        target = "repository" if self.target_name == "sdist" else "hpc_testbed/repository"
        for name in WHAT:
            if not (source / name).exists():
                raise FileNotFoundError(
                    f"{source / name}: build from a checkout of the whole repository"
                )
            build_data["force_include"][str(source / name)] = f"{target}/{name}"
