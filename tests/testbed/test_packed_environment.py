"""Workers whose environment is an archive, which their nodes unpack, on real Slurm."""

import textwrap

import pytest

from .programs import script

# An environment with packages of its own, where the lab's uses those of the image.
MAKE = """
python3 -m venv --without-pip lab-env
packages=$(echo lab-env/lib/python3.*/site-packages)
cp -r /usr/local/lib/python3.*/dist-packages/. toolkit/src/dask_hpc $packages
tar -caf new-env.tar.gz -C lab-env .
mv new-env.tar.gz lab-env.tar.gz
mv lab-env unavailable
"""
USE = """
import re, sys

def look():
    import distributed, dask_hpc
    prefix = sys.prefix
    inside = all(it.__file__.startswith(f"{prefix}/") for it in (distributed, dask_hpc))
    return os.environ["SLURMD_NODENAME"], os.environ["SLURM_JOB_ID"], prefix, inside

def start(nodes):
    settings = dict(python=f"{os.getcwd()}/lab-env.tar.gz", processes=1, cores=1, memory="1 GiB")
    directives = [f"--nodelist={nodes}"] if nodes else []
    with SLURMCluster(**settings, job_extra_directives=directives) as cluster:
        with Client(cluster) as client:
            cluster.scale(jobs=2)
            cluster.wait_for_workers(2, timeout=300)
            return list(client.run(look).values())

found = start("node1")
assert {node for node, *_ in found} == {"node1"} and len({job for _, job, *_ in found}) == 2
[(prefix, inside)] = {it[2:] for it in found}
assert re.fullmatch(rf"/tmp/dask-environments-{os.getuid()}/[\\w.-]+/env", prefix), prefix
assert inside
assert {it[2:] for it in start("node1")} == {(prefix, True)}  # the copy is still there
assert start("node2")[0][2] != prefix  # another node has a disk of its own
print("done")
"""


MEASURE = """
srun -n1 bash -c 'time .venv/bin/python -c "import distributed.cli.dask_worker"'
"""


def test_the_start_of_a_worker_is_timed_on_a_node(lab):
    assert "real" in lab.shell(f"{MEASURE.strip()} 2>&1").stdout


@pytest.mark.full
@pytest.mark.timeout(900)
def test_workers_run_from_the_copy_on_their_nodes_disk(lab):
    try:
        lab.shell(f"set -e{MAKE}", timeout=300)
        assert lab.python(script(textwrap.dedent(USE)), timeout=600) == "done\n"
    finally:
        clean = "rm -rf /tmp/dask-environments-*"
        lab.shell(f"rm -rf unavailable lab-env*; srun -N2 --nodelist=node1,node2 {clean}")
