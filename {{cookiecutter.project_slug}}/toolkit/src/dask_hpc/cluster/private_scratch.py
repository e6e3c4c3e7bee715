"""A mixin for clusters whose scheduler, and workers in this computer, have a private folder.

Dask's own, ``dask-scratch-space`` in the folder for temporary files, belongs to whoever made it
first, and a scheduler or worker loads modules that are in it.
"""

import shutil
import tempfile
import weakref
from pathlib import Path

import dask.config
from distributed import SpecCluster

from ..config import trust
from ..config.paths import create_folder
from ..errors import ConfigError


class PrivateScratchMixin(SpecCluster):
    """Mixin for `SpecCluster` classes whose scheduler has a private folder until they close.

    It must precede `SelfClosingMixin`, after whose part of closing nothing uses the folder.
    """

    _removals: tuple[weakref.finalize, ...] = ()

    def _new_scratch(self, parent: str | None = None) -> str:
        """Return a new private folder, in `parent` or where temporary files belong."""
        parent = parent or dask.config.get("temporary-directory", None) or tempfile.gettempdir()
        path = Path(parent).absolute()
        create_folder(path)
        if line := trust.trusted().path_problem(path):
            raise ConfigError(f"Dask's scratch space: not using {path}: {line}.")
        folder = tempfile.mkdtemp(prefix="dask-scratch-space-", dir=path)
        # If nobody closes the cluster, its folder goes when Python ends, after all that is in it:
        # the scheduler may outlive the cluster.
        removal = weakref.finalize(PrivateScratchMixin, shutil.rmtree, folder, ignore_errors=True)
        self._removals = (*self._removals, removal)
        return folder

    async def _start(self):
        options = self.scheduler_spec.get("options", {})
        if self.scheduler is None and "local_directory" not in options:
            try:
                options = options | {"local_directory": self._new_scratch()}
            except ConfigError:
                await self._close()
                raise
            self.scheduler_spec = self.scheduler_spec | {"options": options}
        await super()._start()

    async def _close(self):
        try:
            await super()._close()
        finally:
            for remove in self._removals:
                remove()
