"""A real Ray cluster of several nodes on this machine, one of which is killed on the way."""

import json
import os

import pytest

from core.batch.jobs import Job, JobRunner, analyze_field
from core.batch.run import Batch, analyze_files
from core.errors import BatchError
from core.executors import in_process, on_cluster
from core.settings import PROJECT_ROOT
from core.slides.analysis import plan_slide, slide_answer
from tests.batch.tasks import (
    by_index,
    dies_over_one,
    jobs_for,
    outline,
    runner,
    spots_not_on_spare,
    stays_on_spare,
    write_fields,
    write_spots,
)

ray = pytest.importorskip("ray", reason="Ray is optional: requirements-ray.txt")

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


def test_a_node_killed_on_the_way_loses_nothing_and_repeats_nothing(cluster, tmp_path):
    paths = write_fields(tmp_path, *(f"{number:02}.png" for number in range(12)))
    spare = cluster.add_node(num_cpus=1)
    (tmp_path / "spare").write_text(spare.node_id)
    os.mkfifo(tmp_path / "meeting")
    answers = on_cluster(runner(stays_on_spare), jobs_for(paths))
    first = next(answers)  # from the other node, once this one has a file too
    cluster.remove_node(spare, allow_graceful=False)
    found = by_index([first, *answers])
    assert found == by_index(in_process(runner(), jobs_for(paths)))


def test_a_slide_is_whole_though_a_node_is_killed_on_the_way(cluster, tmp_path):
    path = tmp_path / "spots.svs"
    write_spots(path)
    spare = cluster.add_node(num_cpus=1)
    (tmp_path / "spare").write_text(spare.node_id)
    os.mkfifo(tmp_path / "meeting")
    plan = plan_slide(path, str(path), None)
    jobs = [Job(0, path, tiles) for tiles in plan.tile_batches()]
    results = on_cluster(runner(tile_task=spots_not_on_spare), jobs)
    first = next(results)  # from the other node, once this one has tiles too
    cluster.remove_node(spare, allow_graceful=False)
    found = [tile for _, tiles in (first, *results) for tile in tiles]
    here = tmp_path / "here.json"
    analyze_files(Batch([path], here), runner(), {})
    assert json.loads(here.read_bytes())["images"] == [slide_answer(plan, found)]


@pytest.mark.usefixtures("cluster")
def test_the_result_is_that_of_this_machine(tmp_path):
    paths = sorted((PROJECT_ROOT / "assets" / "examples").glob("*.jpg"))[:3]
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    for out, engine in ((here, "local"), (there, "ray")):
        assert analyze_files(Batch(paths, out, engine=engine), runner(analyze_field), {}) == (3, 0)
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.usefixtures("cluster")
def test_a_file_that_kills_every_worker_is_an_error(tmp_path):
    paths = write_fields(tmp_path, "a.png", "deadly.png", "b.png")
    found = by_index(on_cluster(runner(dies_over_one), jobs_for(paths)))
    assert "lack of memory" in found[1].error
    assert [found[index][0]["file"] for index in (0, 2)] == [str(paths[0]), str(paths[2])]


@pytest.mark.usefixtures("cluster")
def test_workers_with_other_models_stop_the_batch(tmp_path):
    paths = write_fields(tmp_path, "a.png")
    with pytest.raises(BatchError, match="other models"):
        list(on_cluster(JobRunner(outline, "0" * 64), jobs_for(paths)))
