"""A real Ray cluster of several nodes on this machine, one of which is killed on the way."""

import json
import os
from importlib import import_module

import pytest

from core.batch.journal import Journal
from core.batch.local import in_process
from core.batch.run import Batch, analyze_files
from core.batch.slides import Tasks
from core.batch.work import Work, analyze_field
from core.errors import BatchError
from core.settings import PROJECT_ROOT
from tests.batch.works import (
    dies_over_one,
    outline,
    slide_work,
    spots_not_on_spare,
    stays_on_spare,
    work_of,
    write_fields,
    write_spots,
)

ray = pytest.importorskip("ray", reason="Ray is optional: requirements-ray.txt")
on_cluster = import_module("core.batch.cluster").on_cluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster():
    """Join a cluster whose head only keeps the books, beside a node with a processor."""
    from ray.cluster_utils import Cluster

    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": health}
    )
    cluster.add_node(num_cpus=1)
    runtime = {"env_vars": {"PYTHONPATH": str(PROJECT_ROOT)}}
    ray.init(cluster.address, runtime_env=runtime, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def by_place(answers):
    found = list(answers)
    assert len({place for place, _ in found}) == len(found)
    return dict(found)


def test_a_node_killed_on_the_way_loses_nothing_and_repeats_nothing(cluster, tmp_path):
    paths = write_fields(tmp_path, *(f"{number:02}.png" for number in range(12)))
    spare = cluster.add_node(num_cpus=1)
    (tmp_path / "spare").write_text(spare.node_id)
    os.mkfifo(tmp_path / "meeting")
    answers = on_cluster(work_of(stays_on_spare), enumerate(paths))
    first = next(answers)  # from the other node, once this one has a file too
    cluster.remove_node(spare, allow_graceful=False)
    found = by_place([first, *answers])
    assert found == dict(in_process(work_of(), enumerate(paths)))


def test_a_slide_is_whole_though_a_node_is_killed_on_the_way(cluster, tmp_path):
    path = tmp_path / "spots.svs"
    write_spots(path)
    spare = cluster.add_node(num_cpus=1)
    (tmp_path / "spare").write_text(spare.node_id)
    os.mkfifo(tmp_path / "meeting")
    with Journal(tmp_path / "journal", {}, resume=False) as journal:
        tasks = Tasks(journal, [path])
        steps = on_cluster(slide_work(spots_not_on_spare), tasks)
        assert tasks.take(*next(steps)) is None  # the plan
        # A piece from the other node, once this one has a piece too.
        assert tasks.take(*next(steps)) is None
        cluster.remove_node(spare, allow_graceful=False)
        *others, last = [tasks.take(*step) for step in steps]
    assert set(others) == {None}
    here = tmp_path / "here.json"
    analyze_files(Batch([path], here), slide_work(), {})
    assert json.loads(here.read_bytes())["images"] == list(last)


@pytest.mark.usefixtures("cluster")
def test_the_result_is_that_of_this_machine(tmp_path):
    paths = sorted((PROJECT_ROOT / "assets" / "examples").glob("*.jpg"))[:3]
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    for out, engine in ((here, "local"), (there, "ray")):
        assert analyze_files(Batch(paths, out, engine=engine), work_of(analyze_field), {}) == (3, 0)
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.usefixtures("cluster")
def test_a_file_that_kills_every_worker_is_an_error(tmp_path):
    paths = write_fields(tmp_path, "a.png", "deadly.png", "b.png")
    found = by_place(on_cluster(work_of(dies_over_one), enumerate(paths)))
    assert "want of memory" in found[1].error
    assert [found[place][0]["file"] for place in (0, 2)] == [str(paths[0]), str(paths[2])]


@pytest.mark.usefixtures("cluster")
def test_workers_with_other_models_stop_the_batch(tmp_path):
    paths = write_fields(tmp_path, "a.png")
    with pytest.raises(BatchError, match="other models"):
        list(on_cluster(Work(outline, "0" * 64), enumerate(paths)))
