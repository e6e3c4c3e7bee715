"""The tools, and the shapes in which each of them runs the tasks."""

from dataclasses import dataclass, field

# How a tool hands out tasks.
ONE_BY_ONE, SHARES = "one by one", "static shares"


@dataclass(frozen=True)
class Shape:
    """How many tasks, of which length, on how many slots.

    Attributes
    ----------
    name : str
    nodes, slots_per_node : int
    tasks : int
    seconds : float
        The length of a task.
    """

    name: str
    nodes: int
    slots_per_node: int
    tasks: int
    seconds: float

    @property
    def slots(self) -> int:
        return self.nodes * self.slots_per_node

    def __str__(self):
        return f"{self.tasks:,} tasks of {self.seconds:g} s on {self.slots} slots"


HEADLINE = Shape("headline", 4, 30, 500, 1.0)
SHAPES = {
    shape.name: shape
    for shape in (
        HEADLINE,
        Shape("short", 4, 30, 2000, 0.05),
        # So few that the imports of Python do not decide how long a start takes on two cores.
        Shape("small", 4, 4, 64, 0.5),
    )
}


@dataclass(frozen=True)
class Tool:
    """A tool, and its program in `programs/`.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    title : str
        What it is called in tables.
    program : str
        The program's name without ``.py``, and its arguments.
    works_in : str
        In what the tasks run, given the numbers of `slots` and `nodes`, and `each`, the slots of a
        node.
    python : {"lab", "system", "peers"}
        The environment: of the lab's project, of the image, or of the other tools.
    hands_out : {"one by one", "static shares"}
    has_warm : bool
        Whether workers can stay for further tasks.
    fills_slots : bool
        Whether all slots have a task at the same time. What starts a job or a process for each
        task may be too slow for that.
    once : bool
        Whether it runs once only, with the headline: it is slow or heavy.
    note : str
        What a reader of the table has to know.
    """

    name: str
    title: str
    program: str
    works_in: str
    python: str = "peers"
    hands_out: str = ONE_BY_ONE
    has_warm: bool = True
    fills_slots: bool = True
    once: bool = False
    note: str = field(default="", repr=False)


THREADS = "{nodes} processes of {each} threads"
PROCESSES = "{slots} processes (Python)"
COMMANDS = "a process for each task (bash)"
_ALL = (
    Tool("dask-hpc", "dask_hpc, `gather(map())`", "dask_hpc_map", THREADS, "lab"),
    Tool(
        "sweep",
        "dask_hpc, `sweep`",
        "dask_hpc_sweep",
        THREADS,
        "lab",
        note="each result is saved to a file",
    ),
    Tool("dask-jobqueue", "dask-jobqueue", "dask_jobqueue_map", THREADS, "system"),
    Tool("joblib", "joblib on Dask", "joblib_dask", THREADS),
    Tool(
        "array",
        "Slurm job array",
        "slurm_array",
        "{slots} processes (bash)",
        "system",
        SHARES,
        has_warm=False,
        note="`sbatch --wait` looks after 2, 4, 6, 8, 10 s, and then every 10 s",
    ),
    Tool(
        "array-elements",
        "Slurm job array, an element for each task",
        "slurm_array elements",
        "a job for each task (bash)",
        "system",
        has_warm=False,
        fills_slots=False,
        once=True,
        note="a site that keeps Slurm's `MaxArraySize` allows 1,000 elements",
    ),
    Tool(
        "srun",
        "`srun`",
        "srun_shares",
        "{slots} processes (bash)",
        "system",
        SHARES,
        has_warm=False,
    ),
    Tool(
        "parallel",
        "GNU parallel",
        "gnu_parallel",
        COMMANDS,
        "system",
        has_warm=False,
        fills_slots=False,
        note="one on each node, which has a static share of the tasks",
    ),
    Tool("executorlib", "executorlib", "executorlib_block", PROCESSES),
    Tool(
        "hyperqueue",
        "HyperQueue",
        "hyperqueue_jobs",
        COMMANDS,
        note="its Python client looks once a second",
    ),
    Tool("parsl", "Parsl", "parsl_htex", PROCESSES),
    Tool(
        "submitit",
        "submitit",
        "submitit_shares",
        PROCESSES,
        hands_out=SHARES,
        has_warm=False,
        note="it looks once a second for each result",
    ),
    Tool("mpi4py", "mpi4py.futures", "mpi4py_futures", PROCESSES),
    Tool("ray", "Ray", "ray_cluster", PROCESSES, once=True),
)
TOOLS = {tool.name: tool for tool in _ALL}
