"""A cluster's panel in a notebook, which needs ipywidgets."""

import pytest

import dask_hpc

from .conftest import until

pytest.importorskip("ipywidgets")
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def cluster(lab):
    lab.hold()
    with dask_hpc.SLURMCluster() as cluster:
        yield cluster


def test_a_cluster_shows_itself_as_a_widget(cluster, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    cluster._ipython_display_()
    assert WIDGET in shown[0]
    assert "SLURMCluster" in shown[0]["text/html"]


def button(widget, words):
    """Return the button of a widget with these words, and the fields beside it."""
    for child in getattr(widget, "children", ()):
        if getattr(child, "description", None) == words:
            return child, [field for field in widget.children if hasattr(field, "value")]
        if found := button(child, words):
            return found
    return None


def test_its_buttons_scale_and_adapt(cluster, lab):
    widget = cluster._widget()
    scale, [workers] = button(widget, "Scale")
    workers.value = 3
    scale.click()
    until(lambda: len(lab.calls("sbatch")) == 2)  # jobs of two workers
    adapt, [minimum, maximum] = button(widget, "Adapt")
    minimum.value, maximum.value = 2, 4
    adapt.click()
    assert cluster.adapting
    assert "Adaptive" in widget.children[1].children[0].value
