"""The command `hpc-testbed`, which the testbed targets of the Makefile call."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from hpc_testbed.access import require_user
from hpc_testbed.compose import LOGIN_NODES, MAX_NODES, SUITES, TARGETS, default_name
from hpc_testbed.errors import TestbedError, command_hint
from hpc_testbed.faults.catalog import FAULTS
from hpc_testbed.soak import soak as run_soak
from hpc_testbed.ssh import ssh_config
from hpc_testbed.startup_timing import format_stages
from hpc_testbed.testbed import Testbed

SLURMS = ", ".join(f"{suite} has {slurm}" for suite, slurm in SUITES.items())
NODES = click.IntRange(1, MAX_NODES)
user_option = click.option("--user", default="alice", show_default=True)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    try:
        return commands.main(argv, "hpc-testbed", standalone_mode=False) or 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "hpc-testbed"
        message, code = f"{error.format_message().rstrip('.')} (see {command} --help)", 2
    except TestbedError as error:
        message, code = str(error), 1
    except click.Abort:  # after an empty line
        print(f"Interrupted; to stop the testbed: {command_hint('down')}.", file=sys.stderr)
        return 130
    print(f"Error: {message}", file=sys.stderr)
    return code


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    epilog="Requires Docker with Compose v2. To start: hpc-testbed up; hpc-testbed shell; sinfo. "
    "To stop: hpc-testbed down.",
)
@click.option("--name", help="Name of the testbed, if there are several (or TESTBED_NAME).")
@click.option(
    "--suite",
    type=click.Choice(list(SUITES)),
    help=f"Debian release: {SLURMS} (or TESTBED_SUITE; default: trixie).",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="Image: only Slurm, or also a Dask project's packages (or TESTBED_TARGET; slurm).",
)
@click.option("--dockerfile", help="Adds packages to the image (or TESTBED_DOCKERFILE).")
@click.pass_context
def commands(context: click.Context, /, **settings: Any) -> None:
    """Run a real Slurm site in containers on this machine. Not for production."""
    context.obj = Testbed(**settings)


@commands.command()
@click.option("--nodes", type=NODES, help="Default: as many as are running, else 4.")
@click.pass_obj
def up(testbed: Testbed, nodes: int | None) -> None:
    """Start the testbed; return when all nodes are idle. Keeps what is already running."""
    testbed.up(nodes)
    took = format_stages(testbed.stages)
    print(f"Up: {_in_words(testbed.node_names())} idle ({took}). Next: {command_hint('shell')}")


@commands.command()
@click.option("--nodes", type=NODES, required=True)
@click.pass_obj
def scale(testbed: Testbed, nodes: int) -> None:
    """Change the number of compute nodes; jobs on removed nodes end or are requeued."""
    testbed.scale(nodes)
    print(f"{_in_words(testbed.node_names())} in service.")


def _in_words(nodes: list[str]) -> str:
    return "1 node is" if len(nodes) == 1 else f"{len(nodes)} nodes are"


def _check_user(testbed: Testbed, user: str) -> None:
    """Raise a clearer error than Docker's for an unknown user."""
    if user != "root":
        require_user(testbed, user)


@commands.command()
@user_option
@click.option("--on", default="login", help="Where: login (default), login2, node3, slurmctld, …")
@click.pass_obj
def shell(testbed: Testbed, user: str, on: str) -> None:
    """Open a shell on the login node."""
    _check_user(testbed, user)
    argv = ["docker", "exec", "--interactive", "--user", user, "--workdir", f"/home/{user}"]
    if sys.stdin.isatty():
        argv.append("--tty")
    argv += ["--env", f"USER={user}", testbed.container(on).id, "bash", "--login"]
    os.execvp("docker", argv)


@commands.command(context_settings={"ignore_unknown_options": True})
@user_option
@click.option("--on", default="login1", type=click.Choice(LOGIN_NODES))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ssh(testbed: Testbed, user: str, on: str, arguments: tuple[str, ...]) -> int:
    """Log in with ssh, using a temporary key; further arguments are passed to ssh."""
    # Revoke the key on `kill`, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ssh_config(testbed, user) as config:
        return subprocess.run(["ssh", "-F", config, on, *arguments]).returncode


@commands.command(context_settings={"allow_interspersed_args": False})
@user_option
@click.option("--on", default="login", help="Where: login (default), login2, node3, slurmctld, …")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(testbed: Testbed, user: str, on: str, command: tuple[str, ...]) -> int:
    """Run a command on the login node, passing on stdin and the exit code.

    A single argument is run as a line of bash.
    """
    if not command:
        raise TestbedError("missing command, as in: hpc-testbed run sinfo")
    _check_user(testbed, user)
    line = command[0] if len(command) == 1 else shlex.join(command)
    # Pass on a file or pipe (`hpc-testbed run 'bash -s' < job.sh`), but not a terminal. If stdin is
    # closed, sys.stdin is None.
    stdin = None if sys.stdin is None or sys.stdin.isatty() else sys.stdin
    done = testbed.run(line, user=user, service=on, check=False, show=True, stdin=stdin)
    return done.returncode


@commands.command()
@user_option
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("destination")
@click.pass_obj
def put(testbed: Testbed, user: str, folder: Path, destination: str) -> None:
    """Copy FOLDER to DESTINATION on the shared home, such as /home/alice/scripts."""
    _check_user(testbed, user)
    testbed.put(folder, destination, user=user)


@commands.command()
@click.pass_obj
def status(testbed: Testbed) -> None:
    """Show containers, nodes, and jobs."""
    print(testbed.status())


@commands.command()
@click.argument("services", nargs=-1)
@click.pass_obj
def logs(testbed: Testbed, services: tuple[str, ...]) -> None:
    """Show the daemons' logs."""
    print(testbed.logs(*services), end="")


@commands.command()
@click.argument("name", required=False)
@click.option("--node", default="node1", show_default=True, help="The node to inject it into.")
@click.pass_obj
def fault(testbed: Testbed, name: str | None, node: str) -> None:
    """Inject a fault; without a name, list the faults."""
    if name is None:
        example = "hpc-testbed fault kill-node --node node2"
        if "TESTBED_MAKE" in os.environ:
            example = "make testbed-fault FAULT=kill-node NODE=node2"
        print(f"Faults (inject one with, for example, `{example}`):\n")
        for key, each in FAULTS.items():
            print(f"  {key:18} {each.description}\n  {'':18} -> {each.symptom}")
        print(f"\n`{command_hint('repair')}` repairs everything.")
        return
    injected = testbed.inject(name, node)
    where = node if injected.targets_node else "the site"
    print(f"Injected {name} on {where}: {injected.description}.")
    print(f"Expected: {injected.symptom}. Check with {command_hint('status')}.")
    print(f"Repair with {command_hint('repair')}.")


@commands.command()
@click.pass_obj
def repair(testbed: Testbed) -> None:
    """Repair everything."""
    testbed.repair()
    print(f"All {len(testbed.node_names())} nodes are in service.")


@commands.command()
@click.pass_obj
def down(testbed: Testbed) -> None:
    """Stop the testbed and remove everything."""
    testbed.down()
    print("Down: removed all containers, networks, and volumes of the testbed.")


@commands.command()
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--nodes", type=NODES, default=4, show_default=True)
@click.option("--load", is_flag=True, help="Keep all cores busy meanwhile.")
@click.pass_context
def soak(context: click.Context, rounds: int, nodes: int, load: bool) -> int:
    """Repeatedly start a testbed of its own, run a job, and stop it."""
    settings = {**context.find_root().params, "name": default_name("soak"), "nodes": nodes}
    return 1 if run_soak(Testbed(**settings), rounds, load=load) else 0
