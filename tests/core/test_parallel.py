"""Threads and processes make every call once, few at a time, and none outlives its parent."""

import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.support.waiting import LIMIT
from unetflow.core.errors import InputError
from unetflow.core.parallel import parallel_map


def square(number):
    time.sleep(0.05)
    return number, number**2, os.getpid()


def fail_at_three(number):
    if number == 3:
        raise InputError("three", "it is odd", "Take two")
    return number


def die_as_a_process(number):
    if multiprocessing.parent_process() is not None:
        os._exit(9)
    time.sleep(0.01)
    return number


# With processes there is work for as long as they take to start.
@pytest.mark.parametrize(("threads", "processes", "tasks"), [(1, 0, 20), (3, 0, 20), (1, 1, 100)])
def test_each_task_is_done_once(threads, processes, tasks):
    results = list(parallel_map(square, range(tasks), threads, processes))
    assert sorted(result[:2] for result in results) == [(n, n**2) for n in range(tasks)]
    who = {process for _, _, process in results}
    assert len(who) == 1 + processes
    assert os.getpid() in who


def test_few_calls_are_pending_at_a_time():
    taken = []

    def tasks():
        for number in range(50):
            taken.append(number)
            yield number

    results = parallel_map(square, tasks(), 2)
    next(results)
    assert len(taken) <= 2 * 4 + 1
    assert len(list(results)) == 49


def test_no_tasks_give_no_results():
    assert list(parallel_map(square, [], 1, 1)) == []


@pytest.mark.parametrize("processes", [0, 1])
def test_error_keeps_all_its_parts(processes):
    with pytest.raises(InputError, match=r"^three: it is odd\. Take two\.$"):
        list(parallel_map(fail_at_three, range(8), 1, processes))


def test_terminated_process_is_reported_with_a_fix():
    with pytest.raises(InputError, match=r"ingestion\.workers: .*ended from outside.*Set it to 1"):
        list(parallel_map(die_as_a_process, range(10_000), 1, 1))


@pytest.mark.process
def test_no_process_outlives_a_parent_that_is_killed():
    code = (
        "from tests.core.test_parallel import square\n"
        "from unetflow.core.parallel import parallel_map\n"
        "for _ in parallel_map(square, range(10**6), 1, 1):\n"
        "    print('going', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        children: list[psutil.Process] = []
        while len(children) < 2:  # the process at work, and multiprocessing's own helper
            assert parent.stdout.readline() == b"going\n"
            children = psutil.Process(parent.pid).children()
        for _ in range(100):
            parent.stdout.readline()
        parent.send_signal(signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=LIMIT)[1] == []


@pytest.mark.process
def test_memory_that_a_process_has_freed_is_kept_for_its_next_arrays():
    code = (
        "import resource, sys, numpy as np\n"
        "from unetflow.core.memory import keep_freed_memory\n"
        "if sys.argv[1] == 'keep': keep_freed_memory()\n"
        "for number in range(300): np.ones(1 << 21, np.uint8)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)"
    )
    faults = {}
    for what in ("keep", "give"):
        done = subprocess.run(
            [sys.executable, "-c", code, what],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"},
        )
        faults[what] = int(done.stdout)
    assert faults["give"] - faults["keep"] > 100_000 or platform.libc_ver()[0] != "glibc"
