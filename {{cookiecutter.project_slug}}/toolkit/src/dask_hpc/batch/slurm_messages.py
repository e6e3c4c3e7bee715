"""Slurm's reasons and refusals, and what to do about them."""

_SMALLER = "ask for fewer cores, less memory or a shorter walltime"
_YOURS = "it starts when another of your jobs ends"

REASONS = {
    "Resources": "no node that fits is free yet",
    "Priority": "other jobs are before it in the line",
    "Cleaning": "its node is still clearing up after the last job",
    "Prolog": "its node is being prepared",
    "BeginTime": "its earliest start has not come",
    "SchedDefer": "Slurm puts off jobs that ask to start at once",
    "Dependency": "it waits for another job to end",
    "DependencyNeverSatisfied": "it waits for a job that will not end as asked: cancel it",
    "JobHeldUser": "you hold it: `scontrol release` lets it go",
    "JobHeldAdmin": "the site's staff hold it: ask them",
    "JobHoldMaxRequeue": "it was put back into the line too often and is held: ask the site",
    "JobArrayTaskLimit": "the array's own limit of running tasks is reached",
    "ReqNodeNotAvail": "a node it needs is reserved, drained or down, "
    "often before a maintenance: a shorter walltime may fit",
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation was deleted: cancel it",
    "NodeDown": "its node is down",
    "FrontEndDown": "the site's front-end node is down",
    "PartitionNodeLimit": "it asks for more nodes or CPUs than its partition has up: "
    "check queue and cores",
    "PartitionTimeLimit": "its walltime is longer than the partition allows: ask for less",
    "PartitionDown": "its partition takes jobs but starts none at present",
    "PartitionInactive": "its partition is switched off at present",
    "BadConstraints": "no node can give what it asks for: check cores, memory and directives",
    "Licenses": "all licences of a program it needs are in use",
    "BurstBuffer*": "it waits for the burst buffer",
    "InvalidAccount": "the account is not valid: check account",
    "AccountNotAllowed": "the account may not use this partition: check account and queue",
    "InvalidQOS": "the quality of service (QOS) is not valid: check the directives",
    "QOSNotAllowed": "this quality of service (QOS) may not use this partition",
    "QOSUsageThreshold": "the quality of service (QOS) has used up its share",
    # One job alone is too large, so waiting does not help.
    "QOSMax*PerJob*": f"it is larger than its quality of service (QOS) allows: {_SMALLER}",
    "QOSMax*PerNode*": f"it is larger than its quality of service (QOS) allows: {_SMALLER}",
    "QOSMaxWall*": "its walltime is longer than its quality of service (QOS) allows",
    "QOSTimeLimit": "its walltime is longer than its quality of service (QOS) allows",
    "QOSMin*": "it is smaller than its quality of service (QOS) allows: ask for more",
    "AssocMax*PerJob*": f"it is larger than your account allows: {_SMALLER}",
    "AssocMax*PerNode*": f"it is larger than your account allows: {_SMALLER}",
    "AssocMaxWall*": "its walltime is longer than your account allows",
    "AssociationTimeLimit": "its walltime is longer than your account allows",
    # Limits that others of your jobs use up.
    "QOSMaxJobs*": f"your limit of running jobs is reached; {_YOURS}",
    "QOSMax*PerUser*": f"your limit is reached; {_YOURS}",
    "QOSMax*PerAccount*": "your account's limit is reached; it starts when others' jobs end",
    "QOSMax*": f"your limit under its quality of service (QOS) is reached; {_YOURS}",
    "AssocMaxJobs*": f"your account's limit of running jobs is reached; {_YOURS}",
    "AssocMax*": f"your account's limit is reached; {_YOURS}",
    # Limits that a group shares.
    "QOSGrp*Minutes*": "the time granted to its quality of service (QOS) is used up",
    "QOSGrp*": "the limit of all jobs of its quality of service (QOS) together is reached",
    "QOS*Limit": "a limit of its quality of service (QOS) is reached",
    "AssocGrp*Minutes*": "the time granted to your account is used up: ask the site for more",
    "AssocGrp*": "the limit of all jobs of your account together is reached",
    "Association*Limit": "a limit of your account is reached",
    "Max*PerAccount": "your account's limit is reached; it starts when others' jobs end",
    # Why an ended job ended.
    "NonZeroExitCode": "its command failed",
    "RaisedSignal*": "a signal ended it",
    "TimeLimit": "its walltime was over",
    "OutOfMemory": "it used more memory than it asked for",
    "JobLaunchFailure": "its node could not start it",
    "SystemFailure": "Slurm or its node failed",
    "InactiveLimit": "it did nothing for too long",
}

# What dask-jobqueue writes beside a user's own directive.
_SKIP = (
    "Two directives ask for {0}: to keep that of job-extra-directives, leave out the other, with "
    'job-directives-skip: ["{1}"].'
)

REFUSALS = {
    "--mem-per-gpu are mutually exclusive": _SKIP.format("memory", "--mem"),
    "--cpus-per-gpu are mutually exclusive": _SKIP.format("cores", "--cpus-per-task"),
    "--tres-per-task=cpu= and --cpus-per-task": _SKIP.format("cores", "--cpus-per-task"),
    "invalid directive found": "It is no option of sbatch's: a value in jobqueue.yaml, such as "
    "account or queue, has a blank, or job-extra-directives a slip.",
    "invalid account": "Check account and queue: `sacctmgr show associations user=$USER` "
    "lists yours.",
    "invalid partition": "Check queue: `sinfo` lists the partitions.",
    "access/permission denied": "You may not use this account or partition: "
    "check account and queue.",
    "user's group not permitted": "You may not use this partition: check queue.",
    "requested time limit is invalid": "Check walltime: `sinfo` shows the partition's limit.",
    "invalid --time": "Check walltime.",
    "requested partition configuration not available": "It may be down; check queue.",
    "cpu count per node": "No node has that many cores: check cores.",
    "more processors requested": "No node has that many cores, or there are not so many nodes: "
    "check cores, and --jobs of `dask hpc run`.",
    "memory specification": "No node has that much memory: check memory.",
    "requested node configuration": "No node is like this: check cores, memory and directives.",
    "node count": "Check --nodes in job-extra-directives, and queue.",
    "policy limit": "A limit of your account is reached: fewer or smaller jobs, or wait.",
    "invalid qos": "Check the QOS in job-extra-directives.",
    "unable to contact slurm controller": "Slurm itself does not answer; try again later.",
    "socket timed out": "Slurm itself is slow to answer; try again later.",
}
