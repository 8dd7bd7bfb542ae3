from threading import Event, get_ident

import anyio
import pytest
from anyio import to_thread

from core.api.logs import request_id
from core.api.work import Workers
from core.errors import InputError


def test_calls_keep_to_the_same_few_threads():
    """Each further thread would keep memory for the largest picture that it has decoded."""
    used = set()

    async def call_while_other_threads_come_and_go():
        workers = Workers(threads=2, queue=0)
        released = Event()
        async with anyio.create_task_group() as group:
            for _ in range(5):
                used.add(await workers.run(get_ident))
                group.start_soon(to_thread.run_sync, released.wait)
                await anyio.wait_all_tasks_blocked()
            released.set()

    anyio.run(call_while_other_threads_come_and_go)
    assert len(used) <= 2


def test_calls_know_their_request_and_hand_on_their_errors():
    async def run(call):
        request_id.set("mine")
        return await Workers(threads=1, queue=0).run(call)

    def fail():
        raise InputError("The picture is at fault.")

    assert anyio.run(run, request_id.get) == "mine"
    with pytest.raises(InputError, match="at fault"):
        anyio.run(run, fail)
