"""Nodes are reached by Slurm's names for them, as recipes for PyTorch, Ray and MPI do."""

import json
import subprocess

import pytest

from hpc_testbed import Testbed, docker_problem
from hpc_testbed.compose import COMPOSE_FILE, compose_text


def configured(name, text):
    """Return what Compose reads from the text of a file, as a dictionary."""
    command = ["docker", "compose", "--project-name", name]
    command += ["--project-directory", str(COMPOSE_FILE.parent), "--file", "-"]
    done = subprocess.run(
        [*command, "config", "--format", "json"], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_each_node_is_a_service_with_a_name_of_its_own():
    if docker_problem():
        pytest.skip(docker_problem())
    services = configured("hpc-testbed-names", compose_text(64))
    assert len(services) == 5 + 1 + 64  # the one more is what nodes are made of
    first = services["node-1"]
    for number in range(1, 65):
        node = services[f"node-{number}"]
        own = {
            "hostname": f"node{number}",
            "container_name": f"hpc-testbed-names-node-{number}",
            # Not on the other network: the name must lead to ib0.
            "networks": {"data": {"aliases": [f"node{number}"]}, "management": {"priority": 100}},
        }
        assert node == {**first, **own}
        assert int(node["shm_size"]) >= 2**32
        assert node["deploy"]["replicas"] == 1
    assert services["node"]["deploy"]["replicas"] == 0


def test_fewer_nodes_are_the_file_as_it_stands():
    assert compose_text(4) == compose_text(0) == COMPOSE_FILE.read_text()


ASK = (
    "python3 -c 'import os, socket; h = socket.gethostname(); "
    'print(h, os.environ["SLURMD_NODENAME"], socket.getfqdn(), socket.gethostbyname(h), '
    'os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize >> 30)\'; '
    "ip -4 -o addr show ib0"
)


def check_names(testbed, count):
    """Check on each of so many nodes what it calls itself; and from everywhere where that leads."""
    printed = testbed.run(f"srun --nodes={count} bash -c {ASK!r}".replace("\\'", "'\\''")).stdout
    addresses = {}
    lines = printed.splitlines()
    told = {line.split()[0]: line.split() for line in lines if line.startswith("node")}
    ib0 = {line.split()[3].split("/")[0] for line in lines if " ib0 " in line}
    assert set(told) == {f"node{number}" for number in range(1, count + 1)}
    for name, (_, slurm_name, full_name, address, gibibytes) in told.items():
        assert (slurm_name, full_name) == (name, name)
        assert int(gibibytes) >= 4
        addresses[name] = address
    assert set(addresses.values()) == ib0
    look_up = "getent ahostsv4 {} | awk '/STREAM/ {{print \"{}\", $1}}'"
    every = "; ".join(look_up.format(name, name) for name in addresses)
    for service in ("login1", "login2", "slurmctld", *addresses):
        seen = testbed.run(every, service=service).stdout.split()
        assert dict(zip(seen[::2], seen[1::2], strict=True)) == addresses, service


@pytest.mark.full
def test_names_lead_to_ib0_from_everywhere_and_after_scaling_too(testbed):
    check_names(testbed, 4)
    try:
        testbed.scale(2)
        testbed.scale(5)
        check_names(testbed, 5)
    finally:
        testbed.scale(4)
    check_names(testbed, 4)


def test_programs_on_several_nodes_meet_at_the_first_ones_name(testbed):
    serve = 'import socket; s = socket.create_server(("0.0.0.0", 29500)); s.accept(); s.accept()'
    meet = (
        "import socket, sys, time\n"
        "for _ in range(100):\n"
        "    try: socket.create_connection((sys.argv[1], 29500), 3); break\n"
        "    except ConnectionRefusedError: time.sleep(0.1)\n"
        "else: sys.exit(1)\n"
    )
    job = (
        "head=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -1); "
        f"srun --overlap --nodes=1 --nodelist=$head python3 -c '{serve}' & "
        f"srun --overlap --ntasks=2 --nodes=2 --exclude=$head python3 -c '{meet}' $head && wait"
    )
    testbed.run(f"cat > meet.sh << 'END'\n{job}\nEND\nsalloc --quiet --nodes=3 bash meet.sh")
    testbed.run("rm meet.sh")


def test_the_login_nodes_names_lead_to_them_from_a_node(testbed):
    for name in ("login1", "login2"):
        address = testbed.run("ip -4 -o addr show ib0", service=name).stdout.split()[3]
        seen = testbed.run(f"getent hosts {name}", service="node1").stdout.split()
        assert seen == [address.split("/")[0], name]


def test_the_names_of_what_runs_are_those_of_its_containers(testbed: Testbed):
    assert testbed.node_names() == ["node1", "node2", "node3", "node4"]
    assert testbed.container_states()["node-3"] == "running"
    assert "node-3  |" in testbed.logs("node3", tail=1)
