"""Running a scenario's program on the testbed, and doing to it what has to come from outside."""

import json
import re
import shlex
import subprocess
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
SIDES = ("ours", "plain")


class Program:
    """A program of `programs.py` that runs on the login node as alice.

    Parameters
    ----------
    lab : Lab
        The project on the testbed.
    scenario : str
        A function of `programs.py`.
    side : {"ours", "plain"}
        Whose class it uses.
    before : str
        Shell commands before it, such as exports.
    launcher : str
        What starts it, such as srun.
    seconds : int
        After which it is ended.
    **settings
        The scenario's arguments.
    """

    def __init__(
        self, lab, scenario, side, *, before="true", launcher="exec", seconds=900, **settings
    ):
        self.testbed, self.events, self.lines = lab.testbed, [], []
        self.scenario, self.side = scenario, side
        self.folder = f"{lab.home}/comparison"
        self.testbed.put(HERE, self.folder)
        words = [scenario, *(["--plain"] if side == "plain" else [])]
        words += [f"{name}={value}" for name, value in settings.items()]
        command = (
            f"cd {self.folder} && rm -rf said '~' '$SCRATCH' && . ../.venv/bin/activate && "
            f"{before} && {launcher} python programs.py {shlex.join(words)} 2> said"
        )
        argv = ["docker", "exec", "--user", "alice", "--workdir", lab.home]
        for name, value in {"USER": "alice", "LOGNAME": "alice", "HOME": "/home/alice"}.items():
            argv += ["--env", f"{name}={value}"]
        argv += [self.testbed.container("login").id, "timeout", "--kill-after=5", "--foreground"]
        self._process = subprocess.Popen(
            [*argv, str(seconds), "bash", "-lc", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                if line.startswith('{"event"'):
                    self.events.append(json.loads(line))
                else:
                    self.lines.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self._process.wait()
            self._changed.notify_all()

    def event(self, name, timeout=300):
        """Wait for an event and return it; `AssertionError` where the program ends before."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self.events:
                    if event["event"] == name:
                        return event
                left = deadline - time.monotonic()
                over = self._process.poll() is not None and not self._reader.is_alive()
                if over or left < 0:
                    why = f"ended with {self._process.returncode}" if over else "is late"
                    raise AssertionError(
                        f"{self.scenario} ({self.side}) {why}, without {name!r}: "
                        f"{self.events}, {self.lines[-5:]}, {self.said()[-8:]}"
                    )
                self._changed.wait(min(left, 1))

    def ended(self, timeout=300):
        """Wait for its end; return the exit code."""
        self._reader.join(timeout)
        assert not self._reader.is_alive(), f"{self.scenario} ({self.side}) does not end"
        return self._process.returncode

    def said(self):
        """Return the lines that the user sees on stderr."""
        file = f"{self.folder}/said"
        return self.testbed.run(f"cat {file}", check=False).stdout.splitlines()

    def go(self):
        """Tell the program that the fault is done."""
        self.testbed.run(f"touch {self.folder}/{self.event('ready')['go']}")

    def killing(self, name):
        """Return the command that sends it a signal."""
        return f"kill -{name} {self.event('ready')['pid']}"

    def signal(self, name):
        """Send it a signal."""
        self.testbed.run(self.killing(name))

    def stop(self):
        """End it, whatever it does; for a test that failed."""
        if self._process.poll() is None:
            self.testbed.run("pkill -KILL -u alice -f [p]rograms.py", check=False)
        self._reader.join(30)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.stop()
        left = self.testbed.jobs()
        if left:  # a scenario tells of them before
            self.testbed.run(f"scancel {' '.join(left)}", user="root", check=False)
            assert until(lambda: not self.testbed.jobs(), 60) is not None, f"jobs stay: {left}"


def until(condition, seconds, pause=0.5):
    """Wait until a condition holds; return the seconds that it took, or None."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            return None
        time.sleep(pause)
    return round(time.monotonic() - begin, 1)


def seen(program, timeout=500):
    """Return what a program saw, with its exit code and what it said to the user."""
    event = program.event("seen", timeout)
    code = program.ended()
    what = {key: value for key, value in event.items() if key not in ("event", "time")}
    return {**what, "exit_code": code, "said": shortened(program.said())}


def shortened(lines):
    """Return the first and last lines, each not too long; a record is to be read."""
    lines = [line.rstrip()[:300] for line in lines if line.strip()]
    if len(lines) > 12:
        lines = [*lines[:8], f"… {len(lines) - 11} more lines …", *lines[-3:]]
    return lines


def first_job(testbed):
    """Return the id and the node of alice's oldest running job."""
    listing = testbed.run("squeue --noheader --me --states=running --sort=i --format='%A %N'")
    return listing.stdout.splitlines()[0].split()


def lines_about(job, program):
    """Return the lines on stderr that name a job, but those that tell how a wait goes on."""
    return [
        line[:600]
        for line in program.said()
        if re.search(rf"(?i)\bjobs? (\d+, )*{job}\b", line)
        and not re.match(r"\d+ of \d+ workers", line)
    ]


def kill_worker(testbed, node):
    """End what a job runs on a node, as a crash would."""
    testbed.run("pkill -KILL -u alice -f [d]istributed.cli.dask_worker", user="root", service=node)


# --- one function for each scenario that needs something from outside -----------------------------


def simply(lab, side, scenario, **settings):
    """Run a scenario in which nothing has to happen from outside."""
    with Program(lab, scenario, side, **settings) as program:
        return seen(program)


def death(lab, side, fault, processes, **settings):
    """Inject a fault into a job's node or into the job itself."""
    if fault == "preempt-jobs":
        settings = {"queue": "spare", **settings}
    try:
        with Program(lab, "death", side, processes=processes, **settings) as program:
            program.event("ready", 120)
            job, node = first_job(lab.testbed)
            injected = time.time()
            if fault == "crash":
                kill_worker(lab.testbed, node)
            else:
                lab.testbed.inject(fault, node=node)
            changed = program.event("changed", 500)
            found = {**seen(program), "told": lines_about(job, program)}
    finally:
        lab.testbed.repair()
    for name in ("dropped", "back"):
        found[name] = changed[name] and round(changed[name] - injected, 1)
    return found


def cancelled(lab, side):
    """Cancel a job, as an administrator would."""
    with Program(lab, "cancelled", side) as program:
        program.event("ready", 120)
        job, node = first_job(lab.testbed)
        injected = time.time()
        lab.testbed.inject("cancel-jobs", node=node)
        dropped = program.event("changed")["dropped"]
        found = {**seen(program), "dropped": round(dropped - injected, 1)}
        return {**found, "told": lines_about(job, program)}


def leaving(lab, side, how):
    """Leave the block; count calls of scancel with a wrapper that comes first in PATH."""
    wrapper = (
        "rm -rf bin calls && mkdir bin && touch calls && "
        r"printf '#!/bin/sh\necho $# >> %s/calls\nexec /usr/bin/scancel \"$@\"\n' $PWD"
        " > bin/scancel"
        " && chmod +x bin/scancel && export PATH=$PWD/bin:$PATH"
    )
    with Program(lab, "leaving", side, how=how, before=wrapper) as program:
        program.event("ready", 120)
        if how == "ctrl-c":
            program.signal("INT")
        code = program.ended()
        left = len(
            lab.testbed.run("squeue --me --noheader --states=PD,R --format=%i").stdout.split()
        )
        calls = lab.testbed.run(f"cat {program.folder}/calls").stdout.split()
        interrupted = any(event["event"] == "interrupt" for event in program.events)
        return {
            "exit_code": code,
            "jobs_left": left,
            "cancel_calls": len(calls),
            "keyboard_interrupt": interrupted,
            "said": shortened(program.said()),
        }


def killed(lab, side, with_, watchdog=True):
    """Send the process a signal, and look whether anything cancels its jobs."""
    with Program(lab, "killed", side) as program:
        program.event("ready", 120)
        if watchdog:
            program.signal(with_)
        else:  # both at once: a watchdog that is killed alone is started again
            both = (
                f"pkill -KILL -u alice -f [d]ask_hpc/watchdog/process.py; {program.killing(with_)}"
            )
            lab.testbed.run(both)
        code = program.ended()
        gone = until(lambda: not lab.testbed.jobs(), 8)
        at_once = lab.testbed.jobs()
        if gone is None and watchdog:
            gone = until(lambda: not lab.testbed.jobs(), 120)
        found = {"exit_code": code, "left_after_8_s": len(at_once), "gone_after": gone}
        if not watchdog:
            listed = lab.shell("dask hpc jobs", check=False)
            lab.shell("yes | dask hpc cancel --orphaned", check=False)
            found["listed"] = sum(job in listed.stdout for job in at_once)
            found["left_after_cancel"] = bool(until(lambda: not lab.testbed.jobs(), 30) is None)
        return {**found, "said": shortened(program.said())}


def memory(lab, side, scenario):
    """Leave the job's node only the memory that the job asked for, as Slurm's cgroups would."""
    try:
        with Program(lab, scenario, side) as program:
            program.event("ready", 120)
            container = lab.testbed.container(first_job(lab.testbed)[1])
            # slurmd and the like of the node need some of it.
            container.update(mem_limit="1060m", memswap_limit="1060m")
            program.go()
            return seen(program)
    finally:
        lab.testbed.repair()


def one_allocation(lab, side):
    """Scheduler, workers and client in one job; the program ends well, and with exit code 7."""
    lab.testbed.put(HERE, f"{lab.home}/comparison")
    found = {}
    for end in (0, 7):
        program = f"programs.py one_allocation end={end}"
        if side == "plain":
            script = f"'#!/bin/bash\\n. ../.venv/bin/activate\\nsrun python {program} --plain\\n'"
            make = f"printf {script}"
        else:
            make = f"dask hpc run --dry-run --nodes 2 {program}"
        begin = time.monotonic()
        done = lab.shell(
            f"cd comparison && rm -f out err && {make} > job && "
            f"timeout 120 sbatch --wait --nodes=2 {'--ntasks=5 ' if side == 'plain' else ''}"
            "--time=5 --output=out --error=err job; code=$?; cat out; exit $code",
            check=False,
        )
        events = [json.loads(x) for x in done.stdout.splitlines() if x.startswith('{"event"')]
        said = lab.shell("cat comparison/err", check=False).stdout.splitlines()
        found[f"end {end}"] = {
            "right": bool(events) and events[-1]["right"],
            "exit_code": done.returncode,
            "seconds": round(time.monotonic() - begin, 1),
            "said": shortened(said or done.stderr.splitlines()),
        }
        if lab.testbed.jobs():  # it hangs
            found[f"end {end}"]["left"] = lab.testbed.jobs()
            lab.testbed.run("scancel --user=alice", user="root")
    return found


def misspelt(lab, side):
    """Wrong keys in a file of the user's own."""
    content = "jobqueue:\\n  slurm:\\n    wall-time: '00:10:00'\\n    project: lab\\n"
    before = f'mkdir -p cfg && printf "{content}" > cfg/mine.yaml && export DASK_CONFIG=$PWD/cfg'
    with Program(lab, "misspelt", side, before=before) as program:
        return seen(program)
