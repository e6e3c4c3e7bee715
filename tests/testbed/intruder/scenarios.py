"""What alice does while she is attacked, where that is more than having a cluster.

Each function takes a `Site`, the side, and the intruder, and returns the attack's result.
"""

import contextlib
import json
import re
import shlex
import textwrap
import time

from .harness import HERE, Alice, last_line, meanwhile

NODE = "node2"  # node1 is the shared clusters'
ON_NODE = [f"--nodelist={NODE}"]
OPEN = "/scratch/open"  # a folder that belongs to mallory, open to all
SHARED = "/scratch/lab"  # of alice's and bob's group, writable for it, not sticky


class Site:
    """The testbed with the lab's project, and clusters of alice's that several attacks share."""

    def __init__(self, lab):
        self.lab, self.testbed, self._shared = lab, lab.testbed, {}

    def shared(self, side, kind="jobs"):
        """Return a running cluster, ours or a plain one, with everything at its default.

        Those of the other side end: whoever looks around must not find them.
        """
        for key in [key for key in self._shared if key[0] != side]:
            self._shared.pop(key).end()
        if (side, kind) not in self._shared:
            arguments = {} if kind == "local" else {"job_extra_directives": ["--nodelist=node1"]}
            alice = self._shared[side, kind] = Alice(self.lab, side, kind, **arguments)
            if kind == "jobs":
                alice.start()
        return self._shared[side, kind]

    @contextlib.contextmanager
    def alice(self, side, **arguments):
        """Yield a cluster for one attack, whose jobs run on a node of their own."""
        options = {"before": arguments.pop("before", "true")}
        directives = arguments.pop("job_extra_directives", [])
        alice = Alice(
            self.lab, side, **options, **arguments, job_extra_directives=[*ON_NODE, *directives]
        )
        try:
            yield alice
        finally:
            with contextlib.suppress(Exception):
                alice.end()

    def root(self, command, service="login1", check=True):
        return self.testbed.run(command, user="root", service=service, check=check).stdout

    def clean(self):
        """Remove what attacks have left on the file systems."""
        traces = "/tmp/dask-scratch-space* /tmp/alice /tmp/tmp*.sh"
        for service in (NODE, "login1", "login2"):
            self.root(f"rm -rf {traces if service != 'login1' else ''} {OPEN} {SHARED}/*", service)
        self.root(f"install -d -o mallory -m 0777 {OPEN}; chmod 2775 {SHARED}")

    def close(self):
        for alice in self._shared.values():
            alice.end()


def place_of(intruder):
    """Return a folder where the intruder may rename what others have made, without being root."""
    return SHARED if intruder.user == "bob" else OPEN


def on_shared(attack, kind="jobs"):
    """Return a scenario in which a cluster runs, and no more."""

    def scenario(site, side, intruder):
        return intruder.attack(attack, site.shared(side, kind).facts)

    return scenario


def rogue_worker(site, side, intruder, kind="jobs"):
    """Alice computes while the intruder's worker is there."""
    alice = site.shared(side, kind)
    done = meanwhile(intruder.finish, intruder.begin("rogue_worker", alice.facts))
    wrong = 0
    while not done.done():
        wrong += not alice.ask("square")["right"]
    result = done.result()
    return {**result, "evidence": f"{result['evidence']}; {wrong} wrong results"}


def rogue_local_worker(site, side, intruder):
    return rogue_worker(site, side, intruder, "local")


def call_stacks(site, side, intruder):
    """Alice computes while somebody reads what."""
    alice = site.shared(side)
    done = meanwhile(alice.ask, "square", tasks=4, seconds=3)
    time.sleep(1)
    result = intruder.attack("dashboard_call_stacks", alice.facts)
    done.result()
    return result


def events(site, side, intruder):
    """Alice computes after somebody has opened a page that is not for browsers."""
    with site.alice(side) as alice:
        alice.start()
        result = intruder.attack("dashboard_events", alice.facts)
        for _ in range(3):
            alice.ask("square", tasks=2)
        time.sleep(1)
        tracebacks = "".join(alice.errors).count("Traceback")
    said = f"{result['evidence']}; {tracebacks} tracebacks on alice's terminal"
    return {"worked": tracebacks > 0, "evidence": said}


def allocation(attack):
    """Return a scenario with a cluster in one job: `dask hpc run`, or dask-jobqueue's runner."""

    def scenario(site, side, intruder):
        site.testbed.put(HERE, "/home/alice/intruder")
        run = "cd /home/alice/intruder && rm -f facts &&"
        program = f"alice.py {side} allocation {{}}"
        if side == "ours":
            # The command has no option for a node.
            script = f"dask hpc run --dry-run {program} | sed '2i #SBATCH --nodelist={NODE}'"
            out = site.lab.shell(f"{run} {script} | sbatch --parsable")
        else:
            wrap = f"--wrap 'srun python3 {program}'"
            out = site.testbed.run(f"{run} sbatch --parsable -n 4 --nodelist={NODE} {wrap}")
        job = out.stdout.strip()
        try:
            wait = "until [[ -s facts ]]; do sleep 0.2; done; cat facts"
            facts = json.loads(site.testbed.run(f"cd intruder && {wait}", timeout=60).stdout)
            return intruder.attack(attack, facts, node=NODE)
        finally:
            site.testbed.run(f"scancel {job}; while squeue -hj {job} | grep .; do sleep 0.1; done")

    return scenario


def job_script(site, side, intruder):
    """Alice submits many jobs, each by a script in a file."""
    race = intruder.begin("race_job_script", seconds=90)
    with site.alice(side, job_extra_directives=["--begin=now+1hour"]) as alice:
        done = meanwhile(intruder.finish, race)
        while not done.done():
            alice.ask("submit", jobs=30, times=1)
    return done.result()


def scratch(attack, folder=None):
    """Return a scenario in which workers spill to a folder that was made before by others."""

    def scenario(site, side, intruder):
        options = {"local_directory": "/tmp/$USER"} if folder else {}
        where = {"folder": f"{folder}/dask-scratch-space"} if folder else {}
        talk = intruder.begin(attack, where, node=NODE)
        with contextlib.suppress(AssertionError):
            talk.line(30)  # it is ready
        size = {"cores": 1, "processes": 1, "memory": "1 GiB"}
        done = meanwhile(intruder.finish, talk)
        with site.alice(side, **size, **options) as alice:
            # Where workers refuse the folder, none comes.
            with contextlib.suppress(AssertionError):
                alice.start(1, 1)
                alice.ask("spill")
        return done.result()

    return scenario


def log_links(site, side, intruder, before="true"):
    """Alice's logs are below a folder in which the intruder may rename."""
    folder = f"{place_of(intruder)}/dask-logs"
    site.testbed.run("umask 077; echo mine > precious")
    with site.alice(side, before=before, log_directory=folder) as alice:
        result = intruder.attack("log_links", folder=folder, target="/home/alice/precious")
        with contextlib.suppress(AssertionError):  # the workers may end
            alice.start()
        time.sleep(1)
    now = site.testbed.run("head -c 60 precious").stdout.strip()
    said = f"alice's 0600 file has {now!r}" if now != "mine" else result["evidence"]
    return {"worked": now != "mine", "evidence": said}


def trusted_group(site, side, intruder):
    """Let alice trust all members of the group of that folder."""
    group = site.root(f"stat -c %G {SHARED}").strip()
    return log_links(site, side, intruder, f"export DASK_DASK_HPC__TRUSTED_GROUP={group}")


def dead_port(site, side, intruder, folder=None, **arguments):
    """Let alice's process die while a job of hers waits."""
    with site.alice(side, job_extra_directives=["--begin=now+12"], **arguments) as alice:
        alice.ask("scale", jobs=1)
        time.sleep(2)
        alice.kill()
        talk = intruder.begin("take_port", alice.facts, folder=folder)
    try:
        return intruder.finish(talk)
    finally:
        site.testbed.run(f"scancel --me --state=PENDING; scancel --me --nodelist={NODE}")


def tls_files(site, side, intruder):
    """Put the keys of alice's connections below a folder in which the intruder may rename."""
    folder = f"{place_of(intruder)}/dask-logs"
    site.testbed.run(f"mkdir {folder}")
    files = {"log_directory": folder, "shared_temp_directory": folder}
    return dead_port(site, side, intruder, folder, security=True, **files)


EVIL_MODULE = "import os\nos.system(COMMAND)\n"


def foreign_config(site, side, intruder):
    """Alice activates a project below a folder that somebody else has made."""
    project = f"{place_of(intruder)}/project"
    config = f"{project}/config"
    mine = site.testbed.run(f"cat {site.lab.home}/config/jobqueue.yaml").stdout
    preload = {"preload": [f"{project}/evil.py"]}
    files = {
        f"{project}/sub/README": "",
        f"{project}/evil.py": EVIL_MODULE,
        f"{config}/jobqueue.yaml": mine,
        f"{config}/distributed.yaml": json.dumps({"distributed": {"client": preload}}),
    }
    planted = intruder.attack("plant", {"files": files})
    client = "from dask.distributed import Client; Client(processes=False, dashboard_address=None)"
    try:
        if side == "ours":
            said = site.lab.shell(
                f"cd {project}/sub && dask hpc setup; python -c {shlex.quote(client)}", check=False
            )
        else:  # whose documentation says to put the files where Dask looks for them
            command = f"DASK_CONFIG={config} python3 -c {shlex.quote(client)}"
            said = site.testbed.run(command, check=False)
    finally:
        site.lab.shell("dask hpc setup")
    result = intruder.attack("planted", {"file": planted["evidence"]})
    return result if result["worked"] else {**result, "evidence": last_line(said.stderr)}


def shared_module(site, side, intruder):
    """Alice works in a folder in which others have put a module."""
    folder = f"{place_of(intruder)}/work"
    text = f"{EVIL_MODULE}raise ImportError\n"
    names = ("lz4", "snappy", "zstandard", "crick", "gilknocker")
    planted = intruder.attack("plant", {"files": {f"{folder}/{name}.py": text for name in names}})
    with site.alice(side, before=f"cd {folder}", log_directory="/home/alice/dask-logs") as alice:
        alice.start()
    return intruder.attack("planted", {"file": planted["evidence"]})


def registry(site, side, intruder):
    """`dask hpc cancel --orphaned` reads a folder to which others can write.

    dask-jobqueue has no such command: there, alice writes the file herself, to show that a file
    like this one ends a job.
    """
    state, owner = f"{place_of(intruder)}/state", intruder.user if side == "ours" else "alice"
    wrap = "sbatch --parsable --job-name=other --output=/dev/null --wrap='sleep 300'"
    job = site.testbed.run(wrap).stdout.strip()
    entry = {"host": "login1", "pid": 1, "started": 1, "batch": "slurm", "cluster": "SLURMCluster"}
    entry |= {"job_name": "other", "jobs": [job]}
    site.testbed.run(
        f"umask 000; mkdir -p {state}/dask-hpc && cd {state}/dask-hpc && "
        "cat > login1-1.json && touch -d '1 hour ago' login1-1.json",
        user=owner,
        input=json.dumps(entry),
    )
    try:
        command = f"XDG_STATE_HOME={state} dask hpc cancel --orphaned --yes"
        said = site.lab.shell(command, check=False)
        time.sleep(1)
        there = site.testbed.run(f"squeue -h -t PD,R -j {job}", check=False).stdout
        worked = not there.strip()
        return {"worked": worked, "evidence": last_line(said.stdout + said.stderr)}
    finally:
        site.testbed.run(f"scancel {job}")


def old_dashboard(site, side, intruder):
    """Alice opens the link of a cluster that is gone, in her JupyterLab."""
    token, port = "token-of-alice", 8897
    environment = f"cd {site.lab.home} && . .venv/bin/activate &&"
    server = f"jupyter lab --no-browser --port {port} --IdentityProvider.token={token}"
    site.testbed.run(f"{environment} setsid {server} > /tmp/jupyter-of-alice 2>&1 < /dev/null &")

    def ask(method, path):
        code = textwrap.dedent(f"""\
            import urllib.request
            url = "http://localhost:{port}{path}"
            headers = {{"Authorization": "token {token}", "Cookie": "session=of-alice"}}
            asked = urllib.request.Request(url, method="{method}", headers=headers)
            print(urllib.request.urlopen(asked, timeout=60).read().decode())""")
        return site.testbed.run(f"python3 -c {shlex.quote(code)}", check=False)

    try:
        deadline = time.monotonic() + 60
        while ask("GET", "/api").returncode != 0:
            assert time.monotonic() < deadline, "JupyterLab does not start"
            time.sleep(0.5)
        if side == "ours":
            model = json.loads(ask("PUT", "/dask/clusters/").stdout)
            link = model["dashboard_link"]
            dashboard = int(re.search(r"proxy/(?:dask/)?(\d+)", link)[1])
            ask("DELETE", f"/dask/clusters/{model['id']}")
        else:
            with site.alice(side) as alice:
                dashboard = alice.facts["dashboard"]
            link = f"/proxy/{dashboard}/status"
        talk = intruder.begin("listen", port=dashboard, seconds=8)
        talk.line(30)
        ask("GET", link)
        return intruder.finish(talk)
    finally:
        site.testbed.run(f"pkill -u alice -f '[j]upyter-lab.*port {port}'", check=False)


def load(attack):
    """Return a scenario in which alice's connections, and what she sees, are the result."""

    def scenario(site, side, intruder):
        # As on most systems, and unlike in containers.
        with site.alice(side, before="ulimit -Sn 1024") as alice:
            before = len("".join(alice.errors))
            done = meanwhile(intruder.attack, attack, alice.facts)
            time.sleep(3)
            connected = alice.ask("connect", times=200, timeout=300)["worked"]
            result = done.result()
            time.sleep(3)
            said = len("".join(alice.errors)) - before
        worked = result["worked"] and (said > 20_000 or connected < 200)
        words = f"{connected} of 200 honest connections, {said / 1000:.0f} kB on alice's terminal"
        return {"worked": worked, "evidence": f"{result['evidence']}; {words}"}

    return scenario


def umask(site, side, intruder):
    """Alice's umask lets everybody in; her home is open to all."""
    folder = f"{OPEN}/alice"
    site.root(f"rm -rf {folder}; install -d -o alice -m 0755 {folder}")
    site.testbed.run("touch stamp")
    with site.alice(side, before=f"umask 000; cd {folder}") as alice:
        alice.start()
        find = (
            "find /home/alice /tmp /scratch -mindepth 1 -type d -perm 0700 -prune -o "
            "-path /scratch/loot -prune -o -user alice -newer /home/alice/stamp "
            r"-perm /022 \( -type d -o -type f \) -printf '%m %p\n'"
        )
        found = [line for where in ("login1", NODE) for line in site.root(find, where).splitlines()]
    said = f"{len(found)} files and folders, such as {found[0]}" if found else "nothing is open"
    return {"worked": bool(found), "evidence": said}


def readable(site, side, intruder):
    """Alice's logs are in the lab's scratch space, as jobqueue.yaml suggests."""
    site.root("install -d -o alice -m 0755 /scratch/alice")
    with site.alice(side, log_directory="/scratch/alice/dask-logs") as alice:
        alice.start()
        alice.ask("square")
        result = intruder.attack("readable", node=NODE)
    site.root("rm -rf /scratch/alice")
    return result
