"""The windows job in Bytewax, in one worker (a single file is one partition): JSON lines in, count and
sum of each key and window out as CSV.

Usage: stream_bytewax.py EVENTS.jsonl FOLDER KEY SIZE_MINUTES STEP_MINUTES
"""

import csv
import json
import sys
from datetime import datetime, timedelta, timezone

import bytewax.operators as op
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

DELAY = timedelta(minutes=2)
ALIGNED_TO = datetime(2026, 1, 1, tzinfo=timezone.utc)
LINES_AT_ONCE = 1000


class Rows(StatelessSinkPartition):
    def __init__(self, path, step):
        self.file = open(path, "w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file, lineterminator="\n")
        self.step = step

    def write_batch(self, items):
        self.writer.writerows(
            (key, (ALIGNED_TO + number * self.step).isoformat(sep=" "), count, total)
            for key, (number, (count, total)) in items
        )

    def close(self):
        self.file.close()


class Sink(DynamicSink):
    def __init__(self, path, step):
        self.path, self.step = path, step

    def build(self, step_id, worker_index, worker_count):
        return Rows(self.path, self.step)


def main(events, folder, key, size, step):
    size, step = timedelta(minutes=int(size)), timedelta(minutes=int(step))
    moment = datetime.fromisoformat

    def parse(line):
        event = json.loads(line)
        return event[key], (moment(event["ts"]), event["amount"])

    if size == step:
        windower = windowing.TumblingWindower(align_to=ALIGNED_TO, length=size)
    else:
        windower = windowing.SlidingWindower(align_to=ALIGNED_TO, length=size, offset=step)
    clock = windowing.EventClock(ts_getter=lambda event: event[0], wait_for_system_duration=DELAY)
    flow = Dataflow("windows")
    lines = op.input("read", flow, FileSource(events, batch_size=LINES_AT_ONCE))
    windows = windowing.fold_window(
        "fold", op.map("parse", lines, parse), clock, windower,
        builder=lambda: (0, 0.0),
        folder=lambda state, event: (state[0] + 1, state[1] + event[1]),
        merger=lambda left, right: (left[0] + right[0], left[1] + right[1]),
    )
    op.output("write", windows.down, Sink(f"{folder}/windows.csv", step))
    run_main(flow)


main(*sys.argv[1:6])
