"""What users of the testbed may not do, and what it keeps from them and from the world outside."""

import json
import re
import shlex
import subprocess
import tarfile

import pytest

from hpc_testbed import Testbed, TestbedError

from ..marks import full

# --- users ---

END = "--- exit code"


def tried(testbed, commands, where):
    """Return exit code and output of each command of mallory's, on the login node or in a job."""
    lines = [f'bash -c {shlex.quote(command)} 2>&1; echo "{END} $?"' for command in commands]
    shell = "srun --quiet --nodelist=node1 bash -s" if where == "job" else "bash -s"
    said = testbed.run(shell, user="mallory", input="\n".join(lines), timeout=120).stdout
    parts = re.findall(rf"(.*?){END} (\d+)\n", said, re.DOTALL)
    assert len(parts) == len(commands), said
    return [(int(code), text) for text, code in parts]


def check_refused(testbed, expected, where):
    """Check that all commands of mallory's fail, each with the words expected of it (a pattern)."""
    tries = zip(expected.items(), tried(testbed, expected, where), strict=True)
    assert [
        (command, code, text)
        for (command, words), (code, text) in tries
        if code == 0 or not re.search(words, text)
    ] == []


# What mallory tries, and a part of what the site answers.
DENIED = {
    "ls /home/alice": "Permission denied",
    "cat /etc/munge/munge.key": "Permission denied",
    "cat /etc/shadow": "Permission denied",
    "cat /etc/ssh/testbed/host_key": "host_key: ",  # refused on login, not there on a node
    "su -c id < /dev/null": "Authentication failure",
    "sudo -n id": "command not found",
    "ip link set ib0 down": "not permitted",
    "kill 1": "not permitted",
    "mount -t tmpfs x /mnt": "must be superuser",
    # A copy of a shell that is setuid root would open everything; no process may gain from it.
    "grep NoNewPrivs:.*0 /proc/self/status || { echo never; false; }": "never",
    # The database is on a network of its own: neither its name nor its address leads there.
    "getent hosts mariadb || { echo unknown; false; }": "unknown",
}


@pytest.mark.parametrize("where", ["login", *full("job")])
def test_other_user_is_denied(testbed, where):
    check_refused(testbed, DENIED, where)


@pytest.mark.parametrize("where", ["login", *full("job")])
def test_the_databases_address_is_not_reached(testbed, where):
    inspected = docker_inspect(testbed.container("mariadb").id)
    (address,) = [net["IPAddress"] for net in inspected["NetworkSettings"]["Networks"].values()]
    listens = f'timeout 2 bash -c ": < /dev/tcp/{address}/3306"'
    testbed.run(listens, user="root", service="slurmdbd")
    check_refused(testbed, {listens: ""}, where)


def test_the_password_is_where_the_database_is_and_nowhere_else(testbed):
    for service in ("mariadb", "slurmdbd"):
        name = "/etc/testbed/database-password"
        mode = testbed.run(f"stat -c %a:%s {name}", user="root", service=service).stdout
        assert mode.strip() == "600:32"
    for service in ("login1", "login2", "node", "slurmctld"):
        assert testbed.run("ls /etc/testbed", user="root", service=service).stdout == ""
        found = testbed.run(
            "ls /etc/slurm/slurmdbd.conf", user="root", service=service, check=False
        )
        assert found.returncode != 0


@pytest.fixture(scope="class")
def alices_job(testbed_session):
    testbed = testbed_session
    job = testbed.run(
        "sbatch --parsable --output=/dev/null --nodelist=node1 --wrap='sleep 500'"
    ).stdout.strip()
    testbed.run(f"until squeue -h -j {job} -o %T | grep -q RUNNING; do sleep 0.1; done", timeout=60)
    yield job
    testbed.run(f"scancel {job}")
    testbed.run(f"while [[ $(squeue -h -j {job}) ]]; do sleep 0.1; done", timeout=60)


class TestAlicesJobAndMallory:
    """One job for all of them: the session's testbed, because `testbed` wants none left."""

    def test_sees_it_in_the_queue_as_by_slurms_default(self, testbed_session, alices_job):
        row = testbed_session.run(
            f"squeue -h -j {alices_job} -o '%u %T'", user="mallory"
        ).stdout.strip()
        assert row == "alice RUNNING"

    def test_cannot_touch_it_nor_the_site(self, testbed_session, alices_job):
        commands = [
            "scancel {job}",
            "scontrol hold {job}",
            "scontrol requeue {job}",
            "scontrol suspend {job}",
            "scontrol update jobid={job} timelimit=1",
            "scontrol write batch_script {job} - | grep '#!'",  # ends with 0 even so
            "srun --overlap --jobid={job} id",
            "scontrol update nodename=node1 state=drain reason=mine",
            "scontrol reconfigure",
            "scontrol shutdown",
            "sacctmgr --immediate add user mallory account=lab",
            "sacctmgr --immediate modify user mallory set adminlevel=admin",
            "sbatch --uid=alice --wrap=id",
        ]
        words = "(?i)permission denied|invalid user id|only permitted by root"
        expected = {command.format(job=alices_job): words for command in commands}
        check_refused(testbed_session, expected, "login")
        state = testbed_session.run(f"squeue -h -j {alices_job} -o %T").stdout.strip()
        assert state == "RUNNING"

    @pytest.mark.usefixtures("alices_job")
    def test_cannot_get_at_its_processes_from_a_job_on_the_same_node(self, testbed_session):
        ptrace = (  # PTRACE_ATTACH
            'python3 -c "import ctypes, os, sys; lib = ctypes.CDLL(None, use_errno=True); '
            "print(os.strerror(ctypes.get_errno())) or 1 if lib.ptrace(16, int(sys.argv[1]), "
            '0, 0) else 0; sys.exit(1)" $(pgrep -u alice sleep)'
        )
        commands = {
            "kill $(pgrep -u alice sleep)": "not permitted",
            "cat /proc/$(pgrep -u alice sleep)/environ": "Permission denied",
            "ls -l /proc/$(pgrep -u alice sleep)/fd/": "Permission denied",
            ptrace: "Operation not permitted",
        }
        check_refused(testbed_session, commands, "job")


def test_no_sshd_runs_on_a_node(testbed):
    address = testbed.run("ip -4 -o addr show ib0", service="node1").stdout.split()[3].split("/")[0]
    assert "Connection refused" in testbed.run(f"ssh {address} id", check=False).stderr


# --- containers ---


def docker_inspect(container):
    argv = ["docker", "inspect", container]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)[0]


def test_every_container_is_unprivileged_and_publishes_on_the_loopback_alone(testbed):
    mark = f"label=com.docker.compose.project={testbed.name}"
    listing = subprocess.run(
        ["docker", "ps", "--quiet", "--filter", mark], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(listing) == 9
    published = []
    for container in map(docker_inspect, listing):
        host = container["HostConfig"]
        assert host["Privileged"] is False
        assert host["PidMode"] in ("", "private")
        assert host["NetworkMode"] != "host"
        assert [cap.removeprefix("CAP_") for cap in host["CapAdd"] or []] in ([], ["NET_ADMIN"])
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert {mount["Type"] for mount in container["Mounts"]} == {"volume"}
        assert not [line for line in container["Config"]["Env"] if "PASS" in line.upper()]
        for ports in container["NetworkSettings"]["Ports"].values():
            published += [port["HostIp"] for port in ports or []]
    assert published == ["127.0.0.1"] * 2  # sshd of both login nodes


# --- secrets ---

SECRETS = re.compile(
    r"etc/munge/munge\.key|etc/slurm/slurmdbd\.conf|etc/slurm/(slurm|jwt).*\.key|etc/testbed/."
    r"|etc/ssh/(ssh_host_|testbed/).*|.*/authorized_keys|.*/\.ssh/id_.*|.*\.my\.cnf"
)


def layers(image):
    """Yield each layer of an image as an open tar archive."""
    save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=save.stdout, mode="r|") as saved:
        for entry in saved:
            if entry.isfile() and entry.size > 1000:
                try:
                    with tarfile.open(fileobj=saved.extractfile(entry), mode="r|*") as layer:
                        yield layer
                except tarfile.ReadError:
                    pass  # a description of the image, not a layer
    assert save.wait() == 0


@pytest.mark.full
@pytest.mark.parametrize("target", ["slurm", "lab"])
def test_no_layer_of_the_image_holds_a_secret(testbed_session, target):
    image = Testbed("hpc-testbed-image", target=target)
    image.build()
    seen = 0
    for layer in layers(image.image):
        for entry in layer:
            name = entry.name.removeprefix("./")
            if not entry.isfile():
                continue
            seen += 1
            assert not SECRETS.fullmatch(name), f"{name} in a layer of {image.image}"
            if entry.size < 100_000 and "-packages/" not in name:  # their tests bring keys along
                content = layer.extractfile(entry).read()
                assert not re.search(rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----", content, re.M), name
                if name == "etc/shadow":
                    assert not re.search(rb"^[^:]+:[^:!*]", content, re.M)
                if "mysql/global_priv" in name:
                    assert not re.search(rb'authentication_string":"(?!invalid")[^"]', content)
    assert seen > 5000
    history = subprocess.run(
        ["docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image.image],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "apt-get" in history
    assert not re.search(r"passw(or)?d\s*[=:]|IDENTIFIED BY|chpasswd", history, re.IGNORECASE)


@pytest.mark.full
def test_each_testbed_makes_secrets_of_its_own(testbed_session):
    def digests(testbed):
        files = {
            "slurmdbd": "/etc/munge/munge.key /etc/testbed/database-password",
            "login": "/etc/ssh/testbed/host_key",
        }
        return {
            line.split()[0]
            for service, names in files.items()
            for line in testbed.run(
                f"sha256sum {names}", user="root", service=service
            ).stdout.splitlines()
        }

    with Testbed("hpc-testbed-secrets", nodes=1) as other:
        assert len(digests(testbed_session) | digests(other)) == 6


def test_a_refusal_names_who_and_what(testbed):
    with pytest.raises(
        TestbedError, match="mallory@login: `ls /home/alice` failed with exit code 2"
    ):
        testbed.run("ls /home/alice", user="mallory")
