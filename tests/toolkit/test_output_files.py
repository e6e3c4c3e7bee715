"""Where a job's output goes, by the directives of its job script."""

import getpass
from pathlib import Path

import pytest

import dask_hpc
from dask_hpc import batch as batch_systems
from dask_hpc.batch import output_files

ME, HOME = getpass.getuser(), str(Path.home())
OURS = "#SBATCH -e logs/dask-worker-%J.err\n#SBATCH -o logs/dask-worker-%J.out\n"
CASES = [
    ("slurm", OURS, ["/w/logs/dask-worker-{job}.out", "/w/logs/dask-worker-{job}.err"]),
    # The last one counts.
    ("slurm", f"{OURS}#SBATCH --output=a-%j\n#SBATCH --error=b-%A", ["/w/a-{job}", "/w/b-{job}"]),
    ("slurm", "#SBATCH --output all-%j.txt", ["/w/all-{job}.txt"]),
    ("slurm", "#SBATCH -n 1 -oall.txt  # of mine", ["/w/all.txt"]),
    ("slurm", "#SBATCH --err='my log'", ["/w/slurm-{job}.out", "/w/my log"]),
    ("slurm", "#SBATCH -n 1", ["/w/slurm-{job}.out"]),
    ("slurm", "#SBATCH -o /l/%u/%x-%N-%5j.%%", [f"/l/{ME}/dask-worker-*-*{{job}}.%"]),
    ("slurm", "#SBATCH -D /run/me\n#SBATCH -o [%j]", ["/run/me/[[]{job}]"]),
    ("slurm", "#SBATCH -o /dev/null", ["/dev/null"]),
    (
        "pbs",
        "#PBS -e /l/\n#PBS -o /l/",
        ["/l/{job}.*.OU", "/l/dask-worker.o{job}", "/l/{job}.*.ER", "/l/dask-worker.e{job}"],
    ),
    ("pbs", "#PBS -joe\n#PBS -o login1:/l/$PBS_JOBID.log", ["/l/{job}*.log"]),
    ("pbs", "#PBS -j oe", ["/w/{job}.*.OU", "/w/dask-worker.o{job}"]),
    ("sge", "#$ -e /l/\n#$ -o /l/\n#$ -cwd\n#$ -j y", ["/l/dask-worker.o{job}"]),
    ("sge", "#$ -j y\n#$ -o $HOME/$JOB_NAME.$JOB_ID", [f"{HOME}/dask-worker.{{job}}"]),
    ("lsf", "#BSUB -e l/n-%J.err\n#BSUB -o l/n-%J.out", ["/w/l/n-{job}.out", "/w/l/n-{job}.err"]),
    ("lsf", "#BSUB -oo all.%J", ["/w/all.{job}"]),
    ("lsf", "#BSUB -n 1", []),  # sent by mail
    ("oar", "#OAR -O a.%jobid%\n#OAR --stderr=b", ["/w/a.{job}", "/w/b"]),
    ("htcondor", {"output": "$(ClusterId).out", "Error": "e.$(Cluster)"}, ["{job}.out", "e.{job}"]),
]


@pytest.mark.parametrize(("name", "header", "expected"), CASES)
def test_output_is_where_the_last_directives_say(name, header, expected):
    found = output_files.output_patterns(batch_systems.get(name), header, "dask-worker", "/w")
    assert found == [form if form[0] == "/" else f"/w/{form}" for form in expected]


def test_what_dask_jobqueue_writes_is_read_as_the_names_that_we_know(site, tmp_path):
    batch = site.batch
    with getattr(dask_hpc, batch.cluster_class)() as cluster:
        found = cluster._control.output.patterns
        folder = tmp_path / "logs" if batch.log_key else tmp_path
        assert found
        assert {Path(form).parent for form in found} == {folder}
        # The name that dask-jobqueue gives to an LSF job's files is not the job's.
        if batch.log_names and batch.name != "lsf":
            name = cluster._dummy_job.job_name
            assert {Path(form).name for form in found} == {
                form.format(name=name, job="{job}") for form in batch.log_names
            }


def test_files_of_a_job_and_of_any(tmp_path):
    for number in (7, 17):
        (tmp_path / f"n{number}[x].err").touch()
    form = f"{tmp_path}/n{{job}}[[]x].err"
    assert output_files.find_files(form, "7") == [f"{tmp_path}/n7[x].err"]
    assert output_files.find_files(form, "8") == [f"{tmp_path}/n8[x].err"]  # it is to be there
    assert len(output_files.find_files(form, None)) == 2
    assert set(output_files.find_files(f"{tmp_path}/*7[[]x].err", "1")) == {
        f"{tmp_path}/n7[x].err",
        f"{tmp_path}/n17[x].err",
    }
    assert output_files.show_pattern(form, "9") == f"{tmp_path}/n9[x].err"


def test_slurms_pattern_for_the_user_in_the_folder_is_filled_in_since_slurm_makes_none(
    lab, tmp_path
):
    with dask_hpc.SLURMCluster(log_directory="logs-%u") as cluster:
        assert Path(f"logs-{ME}").is_dir()
        assert not Path("logs-%u").exists()
        assert cluster._control.output.files("7")[-1] == f"{tmp_path}/logs-{ME}/dask-worker-7.err"


def test_of_a_long_log_only_the_end_is_read(tmp_path):
    path = tmp_path / "job.err"
    path.write_text("x" * 100_000 + "\nthe end\n")
    assert output_files.tail(path, 20).endswith("\nthe end\n")
    assert len(output_files.tail(path, 20)) == 20
    assert output_files.tail(tmp_path / "not-there", 20) == ""
