"""Scores one contestant of the gate job against the truth, and prints JSON.

A contestant leaves good.parquet and bad.parquet (files, or folders of them) in FOLDER, the bad rows
with id, card_id and reason; or it is Tidegate, whose two Delta tables are read.

Bad rows are found again by their id and card_id, which every kind of badness leaves readable; a good
row by its id, which is its row number.

Usage: score.py TRUTH.csv ROWS FOLDER
"""

import json
import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable


def parquet_files(folder, name):
    """The files of a contestant's table, as DuckDB takes them."""
    path = folder / f"{name}.parquet"
    return [str(file) for file in path.rglob("*.parquet")] if path.is_dir() else [str(path)]


def delta_files(folder, table):
    logs = [log for log in folder.rglob("_delta_log") if log.parent.name == table]
    return DeltaTable(str(logs[0].parent)).file_uris() if logs else []


def load(connection, folder):
    """Makes the tables `good` (id, card_id) and `bad` (id, card_id)."""
    if (folder / "tidegate.toml").is_file():
        good, bad = delta_files(folder, "payments"), delta_files(folder, "payments__quarantine")
        # The raw text is there whatever is wrong with the row. Its first two fields are never quoted.
        bad_columns = "split_part(raw, ',', 1) AS id, split_part(raw, ',', 2) AS card_id"
    else:
        good, bad = parquet_files(folder, "good"), parquet_files(folder, "bad")
        bad_columns = "coalesce(id, '') AS id, coalesce(card_id, '') AS card_id"
    connection.execute(
        "CREATE TABLE good AS SELECT coalesce(id, '') AS id, coalesce(card_id, '') AS card_id "
        f"FROM read_parquet({good!r})"
    )
    connection.execute(f"CREATE TABLE bad AS SELECT {bad_columns} FROM read_parquet({bad!r})")


def main(truth, rows, folder):
    connection = duckdb.connect()
    load(connection, Path(folder))
    connection.execute(
        f"CREATE TABLE truth AS SELECT CAST(row AS BIGINT) AS row, kind, coalesce(id, '') AS id, card_id "
        f"FROM read_csv('{truth}', all_varchar = true, header = true)"
    )
    # The row with an id that another good row has is in the good table when that id is there twice.
    kinds = connection.execute("""
        WITH in_good AS (SELECT id, card_id, count(*) AS times FROM good GROUP BY ALL),
             in_bad AS (SELECT DISTINCT id, card_id FROM bad)
        SELECT kind, count(*),
               count(*) FILTER (WHERE in_good.times IS NULL),
               count(*) FILTER (WHERE in_bad.id IS NOT NULL)
        FROM truth LEFT JOIN in_good USING (id, card_id) LEFT JOIN in_bad USING (id, card_id)
        GROUP BY kind ORDER BY kind""").fetchall()
    kept = connection.execute(f"""
        WITH wanted AS (
            SELECT printf('P%09d', row) AS id
            FROM (SELECT unnest(range(1, {rows} + 1)) AS row) AS every ANTI JOIN truth USING (row)
        )
        SELECT count(*) FROM wanted SEMI JOIN good USING (id)""").fetchone()[0]
    in_good, bad_rows = connection.execute(
        "SELECT (SELECT count(*) FROM good), (SELECT count(*) FROM truth)"
    ).fetchone()
    print(json.dumps({
        "kinds": {
            kind: {"rows": count, "kept_out": kept_out, "reported": reported}
            for kind, count, kept_out, reported in kinds
        },
        "good_lost": rows - bad_rows - kept,
        "bad_let_in": in_good - kept,
    }))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
