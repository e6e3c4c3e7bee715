"""What a notebook of a new project shows of Dask: bars of progress, and a cluster's panel."""

import json

import pytest

pytestmark = pytest.mark.xdist_group("installed projects")

CODE = """
from dask.distributed import Client, LocalCluster, progress
cluster = LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
client = Client(cluster)
display(cluster)
display(progress(client.map(abs, range(3))))
"""
WIDGET = "application/vnd.jupyter.widget-view+json"


def test_progress_and_the_clusters_panel_are_widgets(local_project):
    cell = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    notebook = {"cells": [{**cell, "source": CODE}], "metadata": {}, "nbformat": 4}
    path = local_project.home / "widgets.ipynb"
    path.write_text(json.dumps({**notebook, "nbformat_minor": 4}))
    options = ["--to", "notebook", "--execute", "--stdout"]
    printed = json.loads(local_project.run("-m", "nbconvert", *options, path))
    shown = [output["data"] for output in printed["cells"][0]["outputs"] if "data" in output]
    assert [WIDGET in data for data in shown] == [True, True]
