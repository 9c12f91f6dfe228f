"""Compares the answers of Tidegate and DuckDB to one TPC-H query, as sets of rows (tables have no
order), numbers within a relative 1e-6. Prints `yes`, or what differs.

Usage: tpch_compare.py TABLE TIDEGATE_FOLDER DUCKDB_FOLDER
"""

import math
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as parquet
from deltalake import DeltaTable


def plain(value):
    if isinstance(value, (Decimal, int)):
        return float(value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value.rstrip() if isinstance(value, str) else value


def rows_of(table):
    # Names are compared by place: they are the query's own, and differ where it gives none.
    columns = [[plain(value) for value in column.to_pylist()] for column in table.columns]
    # Rounded for the order alone, so that a last digit does not change it.
    def key(row):
        return [(value is None, f"{value:.4g}" if isinstance(value, float) else str(value)) for value in row]
    return sorted(zip(*columns), key=lambda row: (key(row), str(row)))


def same(left, right):
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-6)
    return left == right


def main(name, tidegate, duckdb):
    folders = [log.parent for log in Path(tidegate).rglob("_delta_log") if log.parent.name == name]
    if len(folders) != 1:
        print(f"{len(folders)} tables {name}")
        return
    ours = rows_of(DeltaTable(str(folders[0])).to_pyarrow_table())
    theirs = rows_of(parquet.read_table(Path(duckdb) / "answer.parquet"))
    if len(ours) != len(theirs):
        print(f"NO: {len(ours)} rows, not {len(theirs)}")
        return
    for left, right in zip(ours, theirs):
        if len(left) != len(right) or not all(map(same, left, right)):
            print(f"NO: {left} is not {right}")
            return
    print("yes")


main(*sys.argv[1:4])
