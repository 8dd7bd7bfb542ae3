"""A cluster that analyses the tiles of a count changes nothing else; one that fails is left out."""

import pytest

from core.errors import BatchError
from core.model_card import models_fingerprint
from core.settings import PROJECT_ROOT
from core.slides.analysis import analyze_tiles
from core.slides.cluster import analyze_on_cluster
from core.slides.counting import SlideCount
from core.slides.tiles import SlideView
from core.slides.worker import TileRunner
from tests.slides.test_counting import drawn, find, found, here, new_count  # noqa: F401 - a fixture


def find_in_tile(_analyzer, image, _profile=None):
    """As `find`. Workers import it by name."""
    return find(image)


def not_here(_tiles):
    raise AssertionError("this machine analyses nothing")


def count_on(slide, cluster, analyze=not_here):
    return SlideCount(slide, SlideView(slide.path), analyze, cluster=cluster)


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="Ray is optional: requirements-ray.txt")
    runtime = {"env_vars": {"PYTHONPATH": str(PROJECT_ROOT)}}
    # Not the cluster of another test at the same time.
    ray.init("local", num_cpus=2, runtime_env=runtime, log_to_driver=False, include_dashboard=False)
    yield ray
    ray.shutdown()


@pytest.mark.cluster
@pytest.mark.usefixtures("ray")
def test_a_cluster_finds_what_this_process_does(drawn):  # noqa: F811
    slide, _ = drawn
    alone = new_count(drawn)
    alone.start(None)
    alone.wait()
    run = TileRunner(slide.path, slide.name, models_fingerprint(), find_in_tile)
    count = count_on(slide, lambda tiles: analyze_on_cluster(run, tiles))
    count.start(10)
    count.wait()
    assert (count.error, count.cluster_error) == (None, None)
    assert len(found(count)) >= 10
    assert count.done < len(count.path)
    count.start(None)
    count.wait()
    assert found(count) == found(alone)
    assert count.states() == alone.states()


@pytest.mark.cluster
@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(
    ("models", "missing", "said"), [("0" * 64, "", "other models"), (None, "none", "same path")]
)
def test_workers_that_are_not_like_this_server_are_said(drawn, models, missing, said):  # noqa: F811
    slide, _ = drawn
    run = TileRunner(
        slide.path.with_name(missing or slide.path.name),
        slide.name,
        models or models_fingerprint(),
        find_in_tile,
    )
    count = count_on(slide, lambda tiles: analyze_on_cluster(run, tiles), here(slide))
    count.start(None)
    count.wait()
    assert said in count.cluster_error
    assert count.error is None
    assert count.done == len(count.path)


def test_a_count_goes_on_here_when_the_cluster_fails_on_the_way(drawn):  # noqa: F811
    slide, _ = drawn
    given = []

    def fails_over_fifth(tiles):
        for tile in tiles:
            given.append(tile)
            if len(given) == 5:
                raise BatchError("The cluster is gone.")
            yield from analyze_tiles(slide.path, slide.name, [tile], find)

    count = count_on(slide, fails_over_fifth, here(slide))
    assert count.is_on_cluster
    count.start(None)
    count.wait()
    assert not count.is_on_cluster
    assert (count.error, count.cluster_error) == (None, "The cluster is gone.")
    assert count.path[:5] == given
    whole = new_count(drawn)
    whole.start(None)
    whole.wait()
    assert found(count) == found(whole)
