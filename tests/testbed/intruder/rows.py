"""The table of attacks: what each is, and who tries it from where."""

from collections.abc import Callable
from dataclasses import dataclass

from . import scenarios

OTHERS = (("mallory", "login1"), ("mallory", "login2"), ("mallory", "job"), ("bob", "login2"))
SAME_LOGIN = (("mallory", "login1"), ("bob", "login1"))
SAME_NODE = (("mallory", "job"), ("bob", "job"))
FILES = (("mallory", "login2"), ("bob", "login2"))


@dataclass(frozen=True)
class Attack:
    """A row of the table.

    Attributes
    ----------
    name : str
        Of the test.
    words : str
        What the intruder does, for the table.
    scenario : callable
        One of `scenarios`.
    who : tuple of (user, place)
        Who tries it, and where; the first is tried in every run of the tests if it is `quick`.
    quick : bool
        Whether it takes only a few seconds, once a cluster runs.
    instead : str
        What "plain" is, where dask-jobqueue has nothing of the kind.
    opened : bool
        Whether it works against ours, too, since alice allowed it in her configuration.
    """

    name: str
    words: str
    scenario: Callable
    who: tuple
    quick: bool = False
    instead: str = ""
    opened: bool = False


def _network(name, words, attack, who=OTHERS, kind="jobs", quick=False):
    return Attack(name, words, scenarios.on_shared(attack, kind), who, quick=quick)


def _dashboard(name, words, who=OTHERS, quick=False):
    return Attack(name, words, scenarios.on_shared(name), who, quick=quick)


_ON_LOGIN2 = (OTHERS[1], OTHERS[0], *OTHERS[2:])

ATTACKS = [
    _network("client", "connects a client to the scheduler", "client", _ON_LOGIN2, quick=True),
    _network("worker_run", "sends `op=run` to a worker", "worker_run", _ON_LOGIN2, quick=True),
    _network("nanny_run", "sends `op=run` to a nanny", "nanny_run", _ON_LOGIN2, quick=True),
    Attack(
        "rogue_worker",
        "joins as a worker, alters results, and answers with a pickle that runs as alice",
        scenarios.rogue_worker,
        _ON_LOGIN2,
    ),
    _network(
        "open_ports",
        "looks for ports that answer without a certificate or a secret path",
        "open_ports",
        (OTHERS[0], OTHERS[2]),
    ),
    _network(
        "local_client",
        "connects a client to a local cluster",
        "client",
        SAME_LOGIN,
        "local",
    ),
    _network("local_nanny", "sends `op=run` to a local nanny", "nanny_run", SAME_LOGIN, "local"),
    Attack(
        "local_rogue_worker",
        "joins a local cluster as a worker",
        scenarios.rogue_local_worker,
        SAME_LOGIN,
    ),
    Attack(
        "run_client",
        "connects a client to a cluster inside one job (`dask hpc run`)",
        scenarios.allocation("client"),
        OTHERS[1:],
    ),
    Attack(
        "run_worker",
        "sends `op=run` to a worker inside one job (`dask hpc run`)",
        scenarios.allocation("worker_run"),
        OTHERS[1:],
    ),
    Attack(
        "dead_port",
        "takes the port of a scheduler that died while its job waited",
        scenarios.dead_port,
        SAME_LOGIN,
    ),
    Attack(
        "idle_connections",
        "holds 1,500 idle connections: messages fill the terminal, others can't connect",
        scenarios.load("idle_connections"),
        OTHERS[1:2],
    ),
    Attack(
        "garbage",
        "sends what is no message of Dask's: tracebacks fill the terminal",
        scenarios.load("garbage"),
        OTHERS[1:2],
    ),
    _dashboard("dashboard_status", "opens the dashboard from elsewhere", _ON_LOGIN2, quick=True),
    _dashboard(
        "dashboard_loopback",
        "opens the dashboard on the same login node",
        SAME_LOGIN,
        quick=True,
    ),
    _dashboard("dashboard_logs", "reads the scheduler's logs on the dashboard"),
    Attack(
        "dashboard_call_stacks",
        "reads the code that workers run on the dashboard",
        scenarios.call_stacks,
        OTHERS,
    ),
    Attack(
        "dashboard_events",
        "opens the dashboard's stream of events: each task makes a traceback on alice's terminal",
        scenarios.events,
        SAME_LOGIN,
    ),
    _dashboard("dashboard_proxy", "uses the dashboard's `/proxy` to reach a node"),
    _dashboard(
        "dashboard_secret",
        "finds the dashboard's path in arguments, environments, or files",
        (OTHERS[0], OTHERS[2], ("bob", "login1")),
        quick=True,
    ),
    Attack(
        "local_dashboard",
        "opens the dashboard of a local cluster",
        scenarios.on_shared("dashboard_loopback", "local"),
        SAME_LOGIN,
    ),
    Attack(
        "old_dashboard",
        "takes the port of a dashboard that is gone: Jupyter's proxy forwards alice's token",
        scenarios.old_dashboard,
        SAME_LOGIN,
    ),
    Attack(
        "job_script",
        "replaces the job script in `/tmp` before it is submitted",
        scenarios.job_script,
        SAME_LOGIN,
    ),
    Attack(
        "scratch_module",
        "made `/tmp/dask-scratch-space` before alice, and puts a module there",
        scenarios.scratch("scratch_module"),
        SAME_NODE,
    ),
    Attack(
        "scratch_spill",
        "made `/tmp/dask-scratch-space` before alice, and exchanges spilled results",
        scenarios.scratch("scratch_spill"),
        SAME_NODE,
    ),
    Attack(
        "scratch_user",
        "the same, with `local-directory: /tmp/$USER`",
        scenarios.scratch("scratch_spill", "/tmp/alice"),
        SAME_NODE,
    ),
    Attack(
        "log_links",
        "exchanges the log directory in a folder of theirs: alice's private files are overwritten",
        scenarios.log_links,
        FILES,
    ),
    Attack(
        "trusted_group",
        "the same, in a group's folder, after alice has set `trusted-group:` to this group",
        scenarios.trusted_group,
        FILES[1:],
        instead="no such key",
        opened=True,
    ),
    Attack(
        "tls_files",
        "exchanges the files of encrypted connections in a folder of theirs, and takes a dead port",
        scenarios.tls_files,
        SAME_LOGIN,
    ),
    Attack(
        "readable",
        "reads alice's logs",
        scenarios.readable,
        (OTHERS[1], *SAME_NODE),
    ),
    Attack(
        "umask",
        "writes to what is made under `umask 000`",
        scenarios.umask,
        FILES[:1],
    ),
    Attack(
        "foreign_config",
        "owns the folder in which alice calls `dask hpc setup`",
        scenarios.foreign_config,
        FILES,
        instead="with `DASK_CONFIG`",
    ),
    Attack(
        "shared_module",
        "puts a module into the folder in which alice works",
        scenarios.shared_module,
        FILES,
    ),
    Attack(
        "registry",
        "writes a file for `dask hpc cancel --orphaned`, which ends another job of alice's",
        scenarios.registry,
        FILES,
        instead="no such command",
    ),
]
