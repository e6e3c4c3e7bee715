"""What a notebook of a new project shows of Dask, run by nbconvert."""

import json
import re

import pytest

pytestmark = pytest.mark.xdist_group("installed projects")

CODE = """
from dask.distributed import Client, LocalCluster, progress
cluster = LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
client = Client(cluster)
print(cluster.dashboard_link, cluster.scheduler.http_server.port)
display(cluster)
display(progress(client.map(abs, range(3))))
"""
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.mark.full
def test_widgets_and_a_direct_link_to_the_dashboard(local_project):
    cell = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    notebook = {"cells": [{**cell, "source": CODE}], "metadata": {}, "nbformat": 4}
    path = local_project.home / "widgets.ipynb"
    path.write_text(json.dumps({**notebook, "nbformat_minor": 4}))
    options = ["--to", "notebook", "--execute", "--stdout"]
    printed = json.loads(local_project.run("-m", "nbconvert", *options, path))
    outputs = printed["cells"][0]["outputs"]
    shown = [output["data"] for output in outputs if "data" in output]
    assert [WIDGET in data for data in shown] == [True, True]
    text = "".join(line for output in outputs for line in output.get("text", []))
    assert re.search(r"http://localhost:(\d+)/status \1", text)
