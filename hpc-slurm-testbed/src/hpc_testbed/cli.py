"""The command `hpc-testbed`, which the Makefile's testbed verbs call."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from hpc_testbed.compose import LOGIN_NODES, SUITES, TARGETS, default_name
from hpc_testbed.errors import TestbedError, command_hint
from hpc_testbed.faults.catalog import FAULTS
from hpc_testbed.soak import soak as run_soak
from hpc_testbed.ssh import ssh_config
from hpc_testbed.startup_timing import format_stages
from hpc_testbed.testbed import Testbed


def main(argv: list[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    parser = _parser()
    arguments, further = parser.parse_known_args(argv)
    if arguments.verb is ssh:
        arguments.options = further
    elif further:
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    try:
        testbed = Testbed(
            arguments.name,
            suite=arguments.suite,
            target=arguments.target,
            dockerfile=arguments.dockerfile,
        )
        return arguments.verb(testbed, arguments) or 0
    except TestbedError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"\nInterrupted; what runs is left as it is ({command_hint('down')}).", file=sys.stderr
        )
        return 130


def up(testbed: Testbed, arguments: argparse.Namespace) -> None:
    testbed.up(arguments.nodes)
    took = format_stages(testbed.stages)
    print(f"Up: {_nodes(testbed.nodes)} idle ({took}). Next: {command_hint('shell')}")


def scale(testbed: Testbed, arguments: argparse.Namespace) -> None:
    testbed.scale(arguments.nodes)
    print(f"{_nodes(testbed.nodes)} in service.")


def _nodes(number: int) -> str:
    return "1 node is" if number == 1 else f"{number} nodes are"


def shell(testbed: Testbed, arguments: argparse.Namespace) -> int:
    user = arguments.user
    argv = ["docker", "exec", "--interactive", "--user", user, "--workdir", f"/home/{user}"]
    if sys.stdin.isatty():
        argv.append("--tty")
    argv += ["--env", f"USER={user}", testbed.container(arguments.on).id, "bash", "--login"]
    os.execvp("docker", argv)


def ssh(testbed: Testbed, arguments: argparse.Namespace) -> int:
    # Ended by `kill`, too, it takes its key back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ssh_config(testbed, arguments.user) as config:
        return subprocess.run(["ssh", "-F", config, arguments.on, *arguments.options]).returncode


def run(testbed: Testbed, arguments: argparse.Namespace) -> int:
    command = arguments.command
    if not command:
        raise TestbedError("run what? As in: hpc-testbed run sinfo")
    line = command[0] if len(command) == 1 else shlex.join(command)
    # A file or pipe is handed on (`hpc-testbed run 'bash -s' < job.sh`). A terminal is not.
    # sys.stdin is None where it was closed.
    stdin = None if sys.stdin is None or sys.stdin.isatty() else sys.stdin
    return testbed.run(
        line, user=arguments.user, service=arguments.on, check=False, show=True, stdin=stdin
    ).returncode


def put(testbed: Testbed, arguments: argparse.Namespace) -> None:
    testbed.put(Path(arguments.folder), arguments.destination, user=arguments.user)


def status(testbed: Testbed, _: argparse.Namespace) -> None:
    print(testbed.status())


def logs(testbed: Testbed, arguments: argparse.Namespace) -> None:
    print(testbed.logs(*arguments.services), end="")


def fault(testbed: Testbed, arguments: argparse.Namespace) -> None:
    if not arguments.fault:
        example = "hpc-testbed fault kill-node --node node2"
        if "TESTBED_MAKE" in os.environ:
            example = "make testbed-fault FAULT=kill-node NODE=node2"
        print(f"Faults, each as in `{example}`:\n")
        for name, fault in FAULTS.items():
            print(f"  {name:18} {fault.description}\n  {'':18} -> {fault.symptom}")
        print(f"\n`{command_hint('repair')}` repairs everything.")
        return
    fault = testbed.inject(arguments.fault, arguments.node)
    where = arguments.node if fault.targets_node else "the site"
    print(f"Injected {arguments.fault} on {where}: {fault.description}.")
    print(f"Expected: {fault.symptom}. Check with {command_hint('status')}.")
    print(f"Repair with {command_hint('repair')}.")


def repair(testbed: Testbed, _: argparse.Namespace) -> None:
    testbed.repair()
    print(f"All {len(testbed.node_names())} nodes are in service.")


def soak(testbed: Testbed, arguments: argparse.Namespace) -> int:
    other = Testbed(
        default_name("soak"),
        suite=testbed.suite,
        target=testbed.project.target,
        dockerfile=testbed.project.dockerfile,
        nodes=arguments.nodes,
    )
    return 1 if run_soak(other, arguments.rounds, load=arguments.load) else 0


def down(testbed: Testbed, _: argparse.Namespace) -> None:
    testbed.down()
    print("Down: no container, network or volume of the testbed is left.")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all other errors of the command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"Error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hpc-testbed",
        description="A real Slurm site in containers on this machine. Not for production.",
        epilog="Needs Docker with Compose v2. To begin: hpc-testbed up; hpc-testbed shell; sinfo; "
        "and in the end: hpc-testbed down. `hpc-testbed VERB --help` tells a verb's options.",
    )
    slurms = ", ".join(f"{suite} has {slurm}" for suite, slurm in SUITES.items())
    parser.add_argument(
        "--name", help="of the testbed, where there are several (or set TESTBED_NAME)"
    )
    parser.add_argument(
        "--suite", choices=SUITES, help=f"Debian release: {slurms} (or TESTBED_SUITE; trixie)"
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        help="image: Slurm alone, or with a Dask project's packages (or TESTBED_TARGET; slurm)",
    )
    parser.add_argument(
        "--dockerfile", help="adds packages to the image (or TESTBED_DOCKERFILE; none)"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(
        verb: Callable[[Testbed, argparse.Namespace], int | None], text: str
    ) -> argparse.ArgumentParser:
        sub = verbs.add_parser(verb.__name__, help=text)
        sub.set_defaults(verb=verb)
        return sub

    add(up, "start it; returns when all nodes are idle").add_argument(
        "--nodes", type=int, default=4
    )
    add(scale, "change the number of compute nodes").add_argument(
        "--nodes", type=int, required=True
    )
    enter = add(shell, "a shell on the login node")
    enter.add_argument("--user", default="alice")
    enter.add_argument("--on", default="login", help="where else: login2, node3, slurmctld …")
    secure = add(ssh, "log in by ssh, with a key for this one time; further arguments go to ssh")
    secure.add_argument("--user", default="alice")
    secure.add_argument("--on", default="login1", choices=LOGIN_NODES)
    once = add(run, "run a command there, which reads our stdin; its exit code is ours")
    once.add_argument("--user", default="alice")
    once.add_argument("--on", default="login")
    once.add_argument("command", nargs=argparse.REMAINDER, help="one text is a line for bash")
    copy = add(put, "copy a folder to the shared home")
    copy.add_argument("--user", default="alice")
    copy.add_argument("folder")
    copy.add_argument("destination", help="as in /home/alice/scripts")
    add(status, "containers, nodes and jobs")
    add(logs, "what the daemons wrote").add_argument("services", nargs="*")
    wrong = add(fault, "inject a fault; without a name, the list of faults")
    wrong.add_argument("fault", nargs="?")
    wrong.add_argument("--node", default="node1", help="which node it happens to")
    add(repair, "repair whatever is wrong")
    add(down, "stop and remove everything")
    repeat = add(soak, "up, a job, down, again and again, beside a testbed that runs")
    repeat.add_argument("--rounds", type=int, default=20)
    repeat.add_argument("--nodes", type=int, default=4)
    repeat.add_argument("--load", action="store_true", help="with all cores kept busy")
    return parser


if __name__ == "__main__":
    sys.exit(main())
