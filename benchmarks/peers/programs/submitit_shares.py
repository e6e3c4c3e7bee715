"""submitit: an array of jobs, each a static share of the tasks in a Python of its own."""

from common import (
    BEGIN,
    OUT,
    SECONDS,
    SLOTS,
    TASKS,
    report,
    report_versions,
    share,
)


def main():
    import submitit

    executor = submitit.AutoExecutor(folder=OUT.with_suffix(".jobs"))
    executor.update_parameters(
        timeout_min=10,
        cpus_per_task=1,
        mem_gb=0.3,
        slurm_partition="short",
        slurm_array_parallelism=SLOTS,
    )
    number = range(SLOTS)
    jobs = executor.map_array(
        share, number, [SLOTS for _ in number], [TASKS for _ in number], [SECONDS for _ in number]
    )
    report("cold", BEGIN, [trace for job in jobs for trace in job.result()])
    report_versions("submitit")


if __name__ == "__main__":
    main()
