"""Environment variables that change what Slurm's commands do or print."""

from collections.abc import Sequence

# Of the manuals of squeue, scancel, sinfo, sacct and scontrol. SLURM_CLUSTERS and SLURM_CONF say
# where to ask, and stay.
READING_VARIABLES = (
    "SQUEUE_*",
    "SCANCEL_*",
    "SINFO_*",
    "SACCT_*",
    "SCONTROL_*",
    "SLURM_TIME_FORMAT",
    "SLURM_BITSTR_LEN",
    "SLURM_DEBUG_FLAGS",
    "SLURM_JSON",
    "SLURM_YAML",
)

# What sbatch, salloc and srun set for those in a job and that srun takes for its own options: of
# their manuals, "Output environment variables", and Slurm's env.c. By variable the option of sbatch
# that sets it.
OPTION_VARIABLES = {
    "SLURM_ARBITRARY_NODELIST": "--distribution",
    "SLURM_CPUS_PER_GPU": "--cpus-per-gpu",
    "SLURM_CPUS_PER_TASK": "--cpus-per-task",
    "SLURM_CPU_BIND": "",  # of srun alone
    "SLURM_CPU_BIND_LIST": "",
    "SLURM_CPU_BIND_TYPE": "",
    "SLURM_CPU_BIND_VERBOSE": "",
    "SLURM_CPU_FREQ_REQ": "--cpu-freq",
    "SLURM_DISTRIBUTION": "--distribution",
    "SLURM_DIST_PLANESIZE": "--distribution",
    "SLURM_EXCLUSIVE": "",
    "SLURM_EXPORT_ENV": "--export",
    "SLURM_GPUS": "--gpus",
    "SLURM_GPUS_PER_NODE": "--gpus-per-node",
    "SLURM_GPUS_PER_SOCKET": "--gpus-per-socket",
    "SLURM_GPUS_PER_TASK": "--gpus-per-task",
    "SLURM_GPU_BIND": "--gpu-bind",
    "SLURM_GPU_FREQ": "--gpu-freq",
    "SLURM_GRES": "--gres",
    "SLURM_HINT": "--hint",
    "SLURM_MEM_BIND": "--mem-bind",
    "SLURM_MEM_BIND_LIST": "--mem-bind",
    "SLURM_MEM_BIND_PREFER": "--mem-bind",
    "SLURM_MEM_BIND_SORT": "--mem-bind",
    "SLURM_MEM_BIND_TYPE": "--mem-bind",
    "SLURM_MEM_BIND_VERBOSE": "--mem-bind",
    "SLURM_MEM_PER_CPU": "--mem-per-cpu",
    "SLURM_MEM_PER_GPU": "--mem-per-gpu",
    "SLURM_MEM_PER_NODE": "--mem",
    "SLURM_NETWORK": "--network",
    "SLURM_NPROCS": "--ntasks",
    "SLURM_NTASKS": "--ntasks",
    "SLURM_NTASKS_PER_CORE": "--ntasks-per-core",
    "SLURM_NTASKS_PER_GPU": "--ntasks-per-gpu",
    "SLURM_NTASKS_PER_NODE": "--ntasks-per-node",
    "SLURM_NTASKS_PER_SOCKET": "--ntasks-per-socket",
    "SLURM_NTASKS_PER_TRES": "--ntasks-per-gpu",
    "SLURM_OVERCOMMIT": "--overcommit",
    "SLURM_STEP_GRES": "",
    "SLURM_THREADS_PER_CORE": "--threads-per-core",
    "SLURM_TRES_BIND": "--tres-bind",
    "SLURM_TRES_PER_TASK": "--tres-per-task",
}
JOB_VARIABLES = (
    *OPTION_VARIABLES,
    "SLURM_ARRAY_*",
    "SLURM_CLUSTER_NAME",
    "SLURM_CPUS_ON_NODE",
    "SLURM_DEPENDENCY",
    "SLURM_GET_USER_ENV",
    "SLURM_GPUS_ON_NODE",
    "SLURM_GTIDS",
    "SLURM_HET_*",
    "SLURM_JOBID",
    "SLURM_JOB_*",
    "SLURM_LABELIO",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_LOCALID",
    "SLURM_MPI_TYPE",
    "SLURM_NNODES",
    "SLURM_NODEID",
    "SLURM_NODELIST",
    "SLURM_NODE_ALIASES",
    "SLURM_OOM_KILL_STEP",
    "SLURM_PACK_*",
    "SLURM_PRIO_PROCESS",
    "SLURM_PROCID",
    "SLURM_PROFILE",
    "SLURM_PTY_*",
    "SLURM_RESTART_COUNT",
    "SLURM_SCRIPT_CONTEXT",
    "SLURM_SHARDS_ON_NODE",
    "SLURM_SRUN_COMM_*",
    "SLURM_STEP*",
    "SLURM_SUBMIT_*",
    "SLURM_TASKS_PER_NODE",
    "SLURM_TASK_PID",
    "SLURM_TOPOLOGY_*",
    "SLURM_UMASK",
    "SLURMD_*",
    "SBATCH_CPU_BIND*",
    "SBATCH_MEM_BIND_*",
    "SRUN_DEBUG",
)
# Short forms, and options that set a variable beside their own.
_SHORT = {"-n": "--ntasks", "-c": "--cpus-per-task", "-G": "--gpus", "-m": "--distribution"}
_ALSO = {"--cpus-per-task": "--tres-per-task", "--ntasks-per-node": "--ntasks"}


def leftovers(directives: Sequence[str]) -> list[str]:
    """Return the variables that srun reads in a job and that none of its directives sets.

    Their values come from another job, from within which this one was submitted.

    Parameters
    ----------
    directives : sequence of str
        Lines of the job script that begin with ``#SBATCH``.
    """
    # More than one option may be in a line; what is none of them does no harm.
    words = [word for line in directives for word in line.split()[1:] if word.startswith("-")]
    asked = {_SHORT.get(word[:2], word.partition("=")[0]) for word in words}
    known = set(OPTION_VARIABLES.values()) - {""}
    # Options may be shortened.
    shortened = {word for word in asked - known if word.startswith("--") and len(word) > 2}
    asked |= {option for option in known for word in shortened if option.startswith(word)}
    asked |= {_ALSO[option] for option in asked & _ALSO.keys()}
    return [variable for variable, option in OPTION_VARIABLES.items() if option not in asked]
