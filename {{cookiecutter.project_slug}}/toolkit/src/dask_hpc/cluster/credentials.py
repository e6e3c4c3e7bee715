"""Where a cluster's credentials are: a folder for its jobs, and one for its user's clients."""

import tempfile

from distributed import SpecCluster

from .._output import messages
from ..config.resolve import JobSettings
from ..security import records
from ..security.dashboard import with_prefix


class RecordedMixin(SpecCluster):
    """Mixin for `SpecCluster` classes that records a cluster while it runs."""

    _record: records.Record | None = None

    async def _start(self):
        await super()._start()
        address = self.scheduler_address
        if address.startswith("inproc"):
            return  # nothing else can connect to it
        try:
            self._record = records.write(
                self.name, address, self.security, self._http_port, self._http_prefix
            )
        except (OSError, RuntimeError) as error:
            messages.warning(
                f"Cannot record this cluster in your home directory ({error}), so other notebooks "
                "and shells cannot connect to it."
            )

    @property
    def _http_prefix(self) -> str:
        return str(self.scheduler_spec.get("options", {}).get("http_prefix") or "")

    @property
    def _http_port(self) -> int:
        services = getattr(self.scheduler, "services", {})
        return services["dashboard"].port if "dashboard" in services else 0

    @property
    def dashboard_link(self):
        """The address of the dashboard. Whoever knows it can open the dashboard."""
        return with_prefix(super().dashboard_link, self._http_prefix)

    async def _close(self):
        if self._record is not None:
            self._record.remove()
            self._record = None
        await super()._close()


class JobCredentialsMixin(RecordedMixin):
    """Mixin for dask-jobqueue's cluster classes, which write key files for their jobs.

    dask-jobqueue writes them into a shared folder; here, into a private one inside it.
    """

    _key_folder: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self, *args, **kwargs):
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            self._remove_keys()
            raise

    def _with_key_folder(self, settings: JobSettings) -> JobSettings:
        """Return the same settings with a new folder, for dask-jobqueue's constructor."""
        if not settings.arguments.get("security"):
            return settings
        shared = settings.arguments["shared_temp_directory"]
        self._key_folder = tempfile.TemporaryDirectory(prefix=".dask-hpc-", dir=shared)
        return settings.with_arguments(shared_temp_directory=self._key_folder.name)

    def _remove_keys(self) -> None:
        if self._key_folder is None:
            return
        for name in records.CREDENTIALS:
            # dask-jobqueue's temporary files, which would otherwise complain that they are gone.
            if (file := getattr(self, f"_job_{name}", None)) is not None:
                file.close()
        self._key_folder.cleanup()
        self._key_folder = None

    async def _close(self):
        self._remove_keys()
        await super()._close()
