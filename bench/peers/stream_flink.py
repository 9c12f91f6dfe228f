"""The windows job in Flink SQL, as a stream on all cores of this machine: JSON lines in, count and sum
of each key and window out as CSV. Needs Java 17.

Usage: stream_flink.py EVENTS.jsonl FOLDER KEY SIZE_MINUTES STEP_MINUTES
"""

import os
import sys

from pyflink.table import EnvironmentSettings, TableEnvironment


def main(events, folder, key, size, step):
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    settings = table.get_config()
    settings.set("parallelism.default", str(os.cpu_count()))
    settings.set("table.local-time-zone", "UTC")
    settings.set("taskmanager.memory.process.size", "3g")
    table.execute_sql(f"""
        CREATE TABLE events (
            id STRING, card_id STRING, merchant STRING, country STRING, amount DOUBLE, currency STRING,
            ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts - INTERVAL '2' MINUTE
        ) WITH (
            'connector' = 'filesystem', 'path' = 'file://{events}', 'format' = 'json',
            'json.timestamp-format.standard' = 'ISO-8601'
        )""")
    table.execute_sql(f"""
        CREATE TABLE windows (k STRING, start_time TIMESTAMP(3), n BIGINT, s DOUBLE)
        WITH ('connector' = 'filesystem', 'path' = 'file://{folder}/windows.csv', 'format' = 'csv')""")
    if size == step:
        windows = f"TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '{size}' MINUTE)"
    else:
        windows = (
            f"HOP(TABLE events, DESCRIPTOR(ts), INTERVAL '{step}' MINUTE, INTERVAL '{size}' MINUTE)"
        )
    table.execute_sql(f"""
        INSERT INTO windows SELECT {key}, window_start, COUNT(*), SUM(amount)
        FROM TABLE({windows}) GROUP BY {key}, window_start, window_end""").wait()


main(*sys.argv[1:6])
