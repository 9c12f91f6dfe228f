"""One TPC-H query in DuckDB over Parquet files, its answer written to Parquet.

Usage: tpch_duckdb.py DATA_FOLDER QUERY.sql ANSWER.parquet
"""

import os
import sys
from pathlib import Path

import duckdb


def main(data, query, answer):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {os.cpu_count()}")
    for path in Path(data).glob("*.parquet"):
        connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM read_parquet('{path}')")
    sql = Path(query).read_text(encoding="utf-8").strip().rstrip(";")
    connection.execute(f"COPY ({sql}) TO '{answer}' (FORMAT parquet)")


main(*sys.argv[1:4])
