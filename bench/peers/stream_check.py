"""Compares the windows that a contestant of the stream job left in FOLDER with DuckDB's, and prints JSON.

Only the windows that the watermark closed must be there (their end is two minutes or more before the
latest event); those that are still open may be, and must be right then. REFERENCE.parquet is made when it is
missing.

Usage: stream_check.py REFERENCE.parquet EVENTS.jsonl FOLDER KEY SIZE_MINUTES STEP_MINUTES
"""

import json
import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

DELAY_MINUTES = 2
# Of Tidegate's project.
TABLE = "per_window"


def make_reference(connection, path, events, key, size, step):
    """Counts by key and step first: a window is the sum of its steps."""
    connection.execute(f"""
        COPY (
            WITH steps AS (
                SELECT {key} AS k, epoch_ms(ts) // {step * 60_000} AS step, count(*) AS n, sum(amount) AS s
                FROM read_json('{events}', format = 'newline_delimited',
                               columns = {{{key}: 'VARCHAR', amount: 'DOUBLE', ts: 'TIMESTAMP'}})
                GROUP BY ALL
            ), latest AS (
                SELECT max(ts) - INTERVAL {DELAY_MINUTES} MINUTE AS watermark
                FROM read_json('{events}', format = 'newline_delimited', columns = {{ts: 'TIMESTAMP'}})
            ), windows AS (
                SELECT k, make_timestamp((step - back) * {step * 60_000_000}) AS start_time,
                       CAST(sum(n) AS BIGINT) AS n, sum(s) AS s
                FROM steps, range({size // step}) AS every(back) GROUP BY ALL
            )
            SELECT k, start_time, n, s, start_time + INTERVAL {size} MINUTE < watermark AS closed
            FROM windows, latest
        ) TO '{path}' (FORMAT parquet)""")


def found_in(folder, key):
    """The contestant's windows as a query for columns k, start_time, n and s."""
    logs = [log for log in folder.rglob("_delta_log") if log.parent.name == TABLE]
    if logs:
        files = DeltaTable(str(logs[0].parent)).file_uris()
        return f"""SELECT {key} AS k, CAST(w.start AT TIME ZONE 'UTC' AS TIMESTAMP) AS start_time, n, s
                   FROM read_parquet({files!r})"""
    parquet = [str(file) for file in folder.glob("windows.parquet/*.parquet")]
    if parquet:
        return f"""SELECT k, CAST(start_time AT TIME ZONE 'UTC' AS TIMESTAMP) AS start_time, n, s
                   FROM read_parquet({parquet!r})"""
    path = folder / "windows.csv"
    files = [str(file) for file in path.glob("part-*")] if path.is_dir() else [str(path)]
    return f"""SELECT k, CAST(left(start_time, 19) AS TIMESTAMP) AS start_time, n, s
               FROM read_csv({files!r}, header = false, delim = ',', quote = '"', escape = '"',
                             columns = {{k: 'VARCHAR', start_time: 'VARCHAR', n: 'BIGINT', s: 'DOUBLE'}})"""


def main(reference, events, folder, key, size, step):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if not Path(reference).is_file():
        make_reference(connection, reference, events, key, int(size), int(step))
    connection.execute(f"CREATE TABLE found AS {found_in(Path(folder), key)}")
    # A window that is there twice is wrong, too: it is compared as a whole.
    counts = connection.execute(f"""
        WITH found_once AS (
            SELECT k, start_time, CAST(sum(n) AS BIGINT) AS n, sum(s) AS s, count(*) AS times
            FROM found GROUP BY ALL
        )
        SELECT count(*) FILTER (WHERE wanted.closed),
               count(*) FILTER (WHERE wanted.closed AND found_once.times IS NULL),
               count(*) FILTER (WHERE found_once.times IS NOT NULL AND NOT coalesce(
                   found_once.times = 1 AND wanted.n = found_once.n
                   AND abs(wanted.s - found_once.s) <= 1e-9 * greatest(1, abs(wanted.s)), false)),
               (SELECT count(*) FROM found)
        FROM read_parquet('{reference}') AS wanted
        FULL JOIN found_once USING (k, start_time)""").fetchone()
    print(json.dumps(dict(zip(["closed", "missing", "wrong", "found"], counts))))


main(*sys.argv[1:7])
