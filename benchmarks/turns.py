"""Times that can be compared on a machine that others use too: in turns, and as ratios."""

import json
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

Rounds = dict[str, list[list[float]]]
"""The seconds of each contestant, round by round."""


def take_turns(actions: Mapping[str, Callable[[], list[float]]], rounds: int) -> Rounds:
    """Return the seconds that each action gives, round by round."""
    seconds: Rounds = {name: [] for name in actions}
    for _ in range(rounds):
        for name, act in actions.items():
            seconds[name].append(act())
    return seconds


def compare(seconds: Rounds, *peers: str) -> dict[str, dict[str, float]]:
    """Return the median seconds of each, and the median of its rounds' ratios to each peer."""
    medians = {name: [statistics.median(part) for part in parts] for name, parts in seconds.items()}
    return {
        name: {
            "seconds": statistics.median(chain.from_iterable(seconds[name])),
            **{
                f"speed over {peer}": statistics.median(
                    theirs / own for own, theirs in zip(values, medians[peer], strict=True)
                )
                for peer in peers
            },
        }
        for name, values in medians.items()
    }


def print_table(title: str, figures: Mapping[str, Any]) -> None:
    """Print figures: a row for each contestant, and single ones beside the title."""
    rows = {name: values for name, values in figures.items() if isinstance(values, Mapping)}
    single = [f"{name} {value}" for name, value in figures.items() if name not in rows]
    print(f"\n{', '.join([title, *single])}", flush=True)
    if rows:
        table = pd.DataFrame.from_dict(rows, orient="index")
        print(table.to_string(float_format=lambda value: f"{value:.4g}"), flush=True)


def run_json(command: Sequence[str]) -> Any:
    """Run a command, and read the JSON in the last line that it prints."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes.

    Linux hands `ru_maxrss` down from the process that starts another, so that a small child of a
    large parent would seem large; the peak in /proc is the process's own.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
