"""Reads the tables of the project `readback` with deltalake, Polars and DuckDB, and compares values
and types with the source files, which are read here with nothing but the standard library.

Usage: readback.py PROJECT    (a project that has been run twice, by `cargo xtask readback`)
"""

import json
import os
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
from deltalake import DeltaTable

UTC = timezone.utc

# What Arrow readers must say of each column. Readers differ in whether text has 32-bit, 64-bit or
# view offsets, so those three count as one.
ARROW_TYPES = {
    "id": pa.int64(), "tiny": pa.int8(), "small": pa.int16(), "plain": pa.int32(),
    "real": pa.float32(), "precise": pa.float64(), "truth": pa.bool_(), "text": pa.string(),
    "day": pa.date32(), "moment": pa.timestamp("us", tz="UTC"), "wall": pa.timestamp("us"),
    "price": pa.decimal128(12, 2), "huge": pa.decimal128(38, 10), "region": pa.string(),
}
DELTA_TYPES = {
    "id": "long", "tiny": "byte", "small": "short", "plain": "integer", "real": "float",
    "precise": "double", "truth": "boolean", "text": "string", "day": "date",
    "moment": "timestamp", "wall": "timestamp_ntz", "price": "decimal(12,2)",
    "huge": "decimal(38,10)", "region": "string",
}

CHECKS = {"passed": 0, "failed": 0}


def check(what, got, wanted):
    """Counts one comparison, and shows it when it fails."""
    good = got == wanted
    CHECKS["passed" if good else "failed"] += 1
    if not good:
        print(f"FAILED {what}\n  got    {got!r}\n  wanted {wanted!r}")


def coerced(row):
    """A source row with the values that the contract's types give it."""
    def moment(text):
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)

    to = {
        "day": date.fromisoformat, "moment": moment, "wall": datetime.fromisoformat,
        "price": lambda value: Decimal(value).quantize(Decimal("0.01")),
        "huge": Decimal, "real": float, "precise": float,
        "shares": lambda shares: {name: float(share) for name, share in shares.items()},
    }
    out = {}
    for column in [*ARROW_TYPES, "numbers", "shares", "place"]:
        value = row.get(column)
        out[column] = to.get(column, lambda same: same)(value) if value is not None else None
    return out


def source_rows(project):
    """Good rows by id, as the contract should see them; the bad ones are known by heart."""
    rows = {}
    for name in ("first.jsonl", "second.jsonl"):
        for line in (project / "landing" / name).read_text(encoding="utf-8").splitlines():
            # A number must not pass through a float, here as little as in Tidegate.
            row = json.loads(line, parse_float=Decimal)
            rows.setdefault(row["id"], row)
    return {id: coerced(row) for id, row in rows.items() if id not in (4, 6)}


def table_folder(project, name):
    found = [path.parent for path in project.rglob("_delta_log") if path.parent.name == name]
    assert len(found) == 1, f"one folder of the table {name}, not {found}"
    return found[0]


def plain(value):
    """Python values that compare alike whichever reader they come from."""
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        return dict(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


def compare_rows(reader, rows, wanted):
    got = {row["id"]: {column: plain(value) for column, value in row.items()} for row in rows}
    check(f"{reader}: ids", sorted(got), sorted(wanted))
    for id in sorted(set(got) & set(wanted)):
        for column, value in wanted[id].items():
            have = got[id].get(column)
            if column == "shares" and value == {} and have in ([], {}):
                have = {}
            check(f"{reader}: row {id}, column {column}", have, value)


def read_with_deltalake(folder, wanted):
    table = DeltaTable(str(folder))
    delta_types = {
        field.name: field.type.type if hasattr(field.type, "type") else str(field.type)
        for field in table.schema().fields
    }
    for column, name in DELTA_TYPES.items():
        check(f"deltalake: type of {column}", delta_types[column], name)
    nullable = {field.name: field.nullable for field in table.schema().fields}
    check("deltalake: id is not null", nullable["id"], False)
    check("deltalake: text may be null", nullable["text"], True)
    check("deltalake: partition columns", table.metadata().partition_columns, ["region"])
    arrow = table.to_pyarrow_table()
    for column, kind in ARROW_TYPES.items():
        have = arrow.schema.field(column).type
        if kind == pa.string() and have in (pa.large_string(), pa.string_view()):
            have = kind
        check(f"pyarrow: type of {column}", have, kind)
    compare_rows("deltalake", arrow.to_pylist(), wanted)
    check("deltalake: two runs made two files or more", len(table.file_uris()) >= 2, True)


def read_with_polars(folder, wanted):
    frame = polars.read_delta(str(folder))
    types = {
        "id": polars.Int64, "tiny": polars.Int8, "small": polars.Int16, "plain": polars.Int32,
        "real": polars.Float32, "precise": polars.Float64, "truth": polars.Boolean,
        "text": polars.String, "day": polars.Date, "moment": polars.Datetime("us", "UTC"),
        "wall": polars.Datetime("us"), "price": polars.Decimal(12, 2),
        "huge": polars.Decimal(38, 10), "numbers": polars.List(polars.Int32),
    }
    for column, kind in types.items():
        check(f"polars: type of {column}", frame.schema[column], kind)
    rows = frame.to_dicts()
    for row in rows:
        # Some versions of Polars show a map as a list of keys and values.
        if isinstance(row["shares"], list):
            row["shares"] = {entry["key"]: entry["value"] for entry in row["shares"]}
    compare_rows("polars", rows, wanted)


def read_with_duckdb(folder, wanted):
    # DuckDB reads the Parquet files themselves. What a file does not hold, the partition's value,
    # comes from the log.
    rows, table = [], DeltaTable(str(folder))
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for action in actions:
        path = next(uri for uri in table.file_uris() if uri.endswith(action["path"].split("/")[-1]))
        cursor = connection.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [path])
        names = [column[0] for column in cursor.description]
        for values in cursor.fetchall():
            rows.append({**dict(zip(names, values)), "region": action["partition.region"]})
    compare_rows("duckdb", rows, wanted)


def read_the_others(project):
    quarantine = DeltaTable(str(table_folder(project, "every_type__quarantine")))
    rows = quarantine.to_pyarrow_table().to_pylist()
    reasons = sorted(
        (json.loads(row["raw"])["id"], reason["kind"], reason["column"])
        for row in rows for reason in row["reasons"]
    )
    wanted = [(1, "duplicate_key", "id"), (4, "type", "price"), (6, "expectation", "price")]
    check("quarantine: ids and reasons", reasons, wanted)
    check("quarantine: lines", sorted(row["line"] for row in rows), [2, 3, 4])
    view = DeltaTable(str(table_folder(project, "by_region"))).to_pyarrow_table().to_pylist()
    totals = {row["region"]: (row["rows"], row["total"]) for row in view}
    wanted = {"eu": (3, Decimal("9999999999.99")), "us west/1": (1, Decimal("0.01"))}
    check("by_region", totals, wanted)


def main():
    project = Path(sys.argv[1])
    wanted = source_rows(project)
    assert len(wanted) == 4, "the source has four good rows"
    folder = table_folder(project, "every_type")
    read_with_deltalake(folder, wanted)
    read_with_polars(folder, wanted)
    read_with_duckdb(folder, wanted)
    read_the_others(project)
    print(f"readback: {CHECKS['passed']} passed, {CHECKS['failed']} failed", flush=True)
    # At once: three libraries with threads of their own, taken down by the interpreter, were seen to abort now and then.
    os._exit(CHECKS["failed"] > 0)


main()
