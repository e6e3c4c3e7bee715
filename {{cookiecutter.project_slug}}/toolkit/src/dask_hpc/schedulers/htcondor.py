"""HTCondor: condor_submit, condor_q, condor_rm (8.9 and newer).

It has no queues, no accounts that a job must name, and no walltime: a job's size decides where it
may run, and what a site wants to know beside it are lines of the submit description
(``job-extra-directives``, a mapping).
"""

from __future__ import annotations

from .base import Scheduler

HTCONDOR = Scheduler(
    name="htcondor",
    label="HTCondor",
    cluster_class="HTCondorCluster",
    section="htcondor",
    required=("disk",),
    directives_type=dict,
    submit="condor_submit",
    see_jobs="condor_q",
    cancel="condor_rm",
)
