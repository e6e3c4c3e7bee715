"""A real Slurm site in containers, driven from Python.

>>> from hpc_testbed import Testbed
>>> with Testbed("example", nodes=2) as testbed:      # doctest: +SKIP
...     print(testbed.run("srun -N2 hostname", user="alice").stdout)
"""

from hpc_testbed.compose import default_name
from hpc_testbed.docker_engine import docker_problem
from hpc_testbed.errors import DockerUnavailableError, TestbedError
from hpc_testbed.faults.catalog import FAULTS, Fault
from hpc_testbed.install import install_project
from hpc_testbed.ssh import ssh_config, ssh_port
from hpc_testbed.testbed import Testbed

__all__ = [
    "FAULTS",
    "DockerUnavailableError",
    "Fault",
    "Testbed",
    "TestbedError",
    "default_name",
    "docker_problem",
    "install_project",
    "ssh_config",
    "ssh_port",
]
