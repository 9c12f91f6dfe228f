"""Asks DuckDB for the answers to the queries over the files that `TPCH_KEEP=folder` leaves.

Usage: answers.py FOLDER, with DuckDB's module at hand (`cargo xtask venv data`)
"""

import sys
from datetime import date
from pathlib import Path

import duckdb

here = Path(__file__).parent
folder = Path(sys.argv[1])
connection = duckdb.connect()
for table in folder.iterdir():
    if table.is_dir():
        connection.execute(f"CREATE VIEW {table.name} AS FROM '{table}/rows.parquet'")
(here / "answers").mkdir(exist_ok=True)
for query in sorted((here / "../../../../bench/tpch/queries").glob("q*.sql")):
    rows = connection.execute(query.read_text()).fetchall()
    text = lambda value: value.isoformat() if isinstance(value, date) else str(value)
    lines = [" | ".join(map(text, row)) + "\n" for row in rows]
    (here / "answers" / f"{query.stem}.txt").write_text("".join(lines))
    print(query.stem, len(rows))
