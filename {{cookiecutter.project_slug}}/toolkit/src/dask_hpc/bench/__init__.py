"""Measure how a loop speeds up with more workers: plan, backends, record, metrics, figures, report.

Data flows one way: a plan is measured on a backend, each repeat becomes a row of a record (JSON
Lines), metrics are pure functions of rows, and figures and the report read only records. This file
imports nothing, so that workers can import `dask_hpc.bench.workloads` quickly.
"""
