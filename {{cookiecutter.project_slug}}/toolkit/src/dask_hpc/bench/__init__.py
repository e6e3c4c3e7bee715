"""How a loop speeds up with more workers: plan, backends, record, metrics, figures, report.

Data flow one way: a plan is measured on a backend, each repeat becomes a row of a record (JSON
Lines), metrics are pure functions of rows, figures and the report read records and nothing else.
Nothing is imported here: workers import `dask_hpc.bench.workloads` and should not pay for more.
"""
