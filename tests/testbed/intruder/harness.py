"""Running alice's programs and the intruders' on the testbed, and keeping what came of it."""

import contextlib
import json
import queue
import re
import shlex
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parents[2] / "build" / "intruder.json"
PLACES = {
    "login1": ("login1", ""),
    "login2": ("login2", ""),
    "job": ("login1", "srun --quiet --nodelist={node} "),
}


class Talk:
    """A program in a container that answers lines of JSON, on a thread of its own."""

    def __init__(self, testbed, command, user, service):
        argv = ["docker", "exec", "--interactive", "--user", user, "--workdir", f"/home/{user}"]
        for name, value in {"USER": user, "LOGNAME": user, "HOME": f"/home/{user}"}.items():
            argv += ["--env", f"{name}={value}"]
        argv += [testbed.container(service).id, "timeout", "--kill-after=5", "900"]
        self._process = subprocess.Popen(
            [*argv, "bash", "-lc", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines, self.errors = queue.Queue(), []
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=lambda: self.errors.extend(self._process.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def line(self, timeout):
        """Return the next line."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no answer for {timeout} s: {self.errors[-20:]}") from None
        assert line is not None, f"ended: {''.join(self.errors[-20:])}"
        return line

    def answer(self, timeout=90):
        """Return the next line that is JSON."""
        while not (line := self.line(timeout)).startswith("{"):
            pass
        return json.loads(line)

    def send(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def end(self):
        """Close its input, and wait until it has ended."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.errors.append("did not end")
        finally:
            self._process.kill()


class RefusedError(Exception):
    """Alice's program ended at once, with an error of ours."""


class Alice(Talk):
    """A cluster of alice's (`alice.py`), by our classes or by plain ones."""

    def __init__(self, lab, side, kind="jobs", *, before="true", service="login1", **arguments):
        self.lab, self.testbed, self.side = lab, lab.testbed, side
        self.testbed.put(HERE, "/home/alice/intruder")
        words = shlex.join([side, kind, json.dumps(arguments)])
        # Plain is dask-jobqueue as pip installs it: without the project's environment.
        python = f"{lab.home}/.venv/bin/python" if side == "ours" else "python3"
        command = f"{before} && exec {python} /home/alice/intruder/alice.py {words}"
        super().__init__(self.testbed, command, "alice", service)
        try:
            self.facts = self.answer()
        except AssertionError as error:
            last = last_line(str(error))
            if re.match(r"dask_hpc\.\w+\.(?!Argument)\w+Error: ", last):
                raise RefusedError(last) from None
            raise

    def ask(self, do, timeout=120, **arguments):
        """Let alice do something with her cluster; return what came of it."""
        self.send(do=do, **arguments)
        return self.answer(timeout)

    def start(self, jobs=1, workers=2):
        """Get workers, on a node that is known then."""
        self.facts = self.ask("scale", jobs=jobs, workers=workers)

    def kill(self, watchdog=True):
        """Kill the process, as when a login node loses power: with its watchdog."""
        pid = self.facts["pid"]
        also = f"$(pgrep -P {pid} -f [w]atchdog/process.py)" if watchdog else ""
        self.testbed.run(f"kill -9 {pid} {also}", check=False)
        self.end()


@dataclass(frozen=True)
class Intruder:
    """A user, and where that user's programs run."""

    testbed: object
    user: str = "mallory"
    place: str = "login2"

    def prepare(self):
        self.testbed.put(HERE, f"/home/{self.user}/intruder", user=self.user)
        self.testbed.run("install -d -m 1777 /scratch/loot", user="root")

    def attack(self, attack, facts=None, node="node1", **more):
        """Run an attack; return its result."""
        return self.finish(self.begin(attack, facts, node, **more))

    def begin(self, attack, facts=None, node="node1", **more):
        """Begin an attack that goes on while alice does something."""
        service, prefix = PLACES[self.place]
        words = shlex.join([attack, json.dumps({**(facts or {}), **more})])
        program = f"/home/{self.user}/intruder/attacks.py"
        command = f"cd /tmp && {prefix.format(node=node)}python3 {program} {words}"
        return Talk(self.testbed, command, self.user, service)

    def finish(self, talk, timeout=150):
        """Wait for the result of an attack that was begun."""
        try:
            return talk.answer(timeout)
        finally:
            talk.end()


def meanwhile(function, *arguments, **options):
    """Begin a call on a thread; return its future."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments, **options)
    pool.shutdown(wait=False)
    return future


def last_line(text):
    """Return the last line that is not empty."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def keep(attack, who, side, result):
    """Keep a result in build/intruder.json."""
    RESULTS.parent.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault(attack, {}).setdefault(who, {})[side] = result
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
