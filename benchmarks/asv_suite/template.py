"""The time to render the template, and the size of the project."""

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

from . import commit


class Render:
    """The template with its default answers: files written, hooks run."""

    version = "1"
    number = 1  # a second rendering would find the project of the first
    repeat = 10
    rounds = 1
    warmup_time = 0
    timeout = 300

    def setup(self):
        self.folder = Path(tempfile.mkdtemp())

    def teardown(self):
        shutil.rmtree(self.folder)

    def render(self):
        with contextlib.redirect_stdout(io.StringIO()):
            project = cookiecutter(
                str(commit.tree()), no_input=True, default_config=True, output_dir=str(self.folder)
            )
        return Path(project)

    def time_render(self):
        self.render()

    def track_size(self):
        files = [path for path in self.render().rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files) / 1024

    track_size.unit = "KiB"
