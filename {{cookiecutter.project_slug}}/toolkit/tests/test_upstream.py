"""Private parts of dask-jobqueue and distributed that the toolkit uses, one test each.

Where one fails after an update, the part that it names has changed, and so must its user here.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

from distributed import core
from distributed.core import Status

import dask_hpc
from dask_hpc._jobqueue import dask_jobqueue


def test_whether_a_handler_takes_a_comm_is_cached_in_expects_comm():
    # leaks.let_schedulers_go clears it.
    assert callable(core._expects_comm.cache_clear)


def test_the_pages_of_a_dashboard_are_cached_in_template_variables():
    # leaks.let_schedulers_go takes the function without its cache.
    code = """
        from distributed.dashboard import scheduler
        assert callable(scheduler.template_variables.__wrapped__)
        assert "template_variables" in scheduler.connect.__code__.co_names
    """
    # In a process where no cluster was closed before.
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_the_arguments_of_each_job_are_in_job_kwargs(lab):
    # allocation.AllocationCluster._spec makes those of each node from them.
    with dask_jobqueue.SLURMCluster(cores=2, memory="1 GiB", processes=2) as cluster:
        assert cluster._job_kwargs["memory"] == "1 GiB"
        assert cluster._job_kwargs["processes"] == 2
        cluster._job_kwargs = {**cluster._job_kwargs, "memory": "2 GiB"}
        assert "#SBATCH --mem=2G" in cluster.job_script()


def test_the_size_of_a_job_is_read_from_dummy_job(lab):
    # allocation.AllocationCluster.scale counts in it.
    with dask_jobqueue.SLURMCluster(cores=2, memory="1 GiB", processes=2) as cluster:
        job = cluster._dummy_job
    assert (job.worker_processes, job.worker_cores, job.worker_memory) == (2, 2, 2**30)


def test_correct_state_starts_what_is_in_worker_spec_and_not_in_workers(lab):
    # allocation.AllocationCluster starts a node's workers again in this way.
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        cluster.sync(cluster._correct_state)
        [(name, first)] = cluster.workers.items()
        first.status = Status.failed
        del cluster.workers[name]
        cluster.sync(cluster._correct_state)
        assert cluster.workers[name] is not first


def test_the_key_files_of_a_temporary_security_are_kept_in_job_ca_file_job_cert_and_job_key(
    lab, tmp_path
):
    # cluster.ClusterMixin._remove_keys closes them.
    pem = {"ca_file": "a\na", "cert": "b\nb", "key": "c\nc", "ciphers": None}

    class Security:
        def get_tls_config_for_role(self, role):
            return pem

    with dask_hpc.SLURMCluster(shared_temp_directory=str(tmp_path)) as cluster:
        cluster._get_worker_security(Security())
        assert Path(cluster._job_ca_file.name).read_text() == "a\na"
        assert Path(cluster._job_cert.name).read_text() == "b\nb"
        assert Path(cluster._job_key.name).read_text() == "c\nc"
