"""The gate job in Polars, written to catch everything: the file is read as raw lines, one regular
expression splits a line, and what it does not match is bad.

It cannot read quoted line breaks or doubled quotes, which the data does not have.

Usage: gate_polars.py INPUT.csv FOLDER
"""

import os
import sys

os.environ.setdefault("POLARS_MAX_THREADS", str(os.cpu_count()))

import polars as pl  # noqa: E402  (the number of threads is read on import)

COLUMNS = ["id", "card_id", "merchant", "country", "amount", "currency", "ts", "email", "ip"]
CURRENCIES = ["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "PLN", "CZK"]
FIELD = '("[^"]*"|[^",]*)'
LINE = "^" + ",".join([FIELD] * len(COLUMNS)) + "$"


def main(source, folder):
    lines = pl.scan_csv(
        source, has_header=False, skip_rows=1, separator="\x01", quote_char=None,
        new_columns=["line"], infer_schema=False, row_index_name="row", row_index_offset=1,
    )
    line, groups = pl.col("line"), pl.col("groups")
    split = lines.with_columns(line.str.extract_groups(LINE).alias("groups")).with_columns(
        groups.struct.field(str(place)).str.strip_chars('"').alias(name)
        for place, name in enumerate(COLUMNS, start=1)
    )
    # A line that does not match still has its first two fields, which are never quoted.
    broken = pl.col("ip").is_null()
    quotes = line.str.count_matches('"', literal=True)
    misquoted = broken & ((quotes % 2 == 1) | line.str.contains('"[^,"]*"[^,]'))
    rows = split.with_columns(
        pl.when(broken).then(line.str.extract("^([^,]*)", 1)).otherwise("id").alias("id"),
        pl.when(broken).then(line.str.extract("^[^,]*,([^,]*)", 1)).otherwise("card_id").alias("card_id"),
        pl.col("amount").cast(pl.Float64, strict=False).alias("amount_number"),
        pl.col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", strict=False, time_unit="us").alias("moment"),
    )
    has_id = pl.col("id").fill_null("") != ""
    rules = {
        "broken_quote": misquoted,
        "field_count": broken & ~misquoted,
        "amount_nan": pl.col("amount_number").is_null(),
        "amount_neg": pl.col("amount_number") < 0,
        "id_missing": ~has_id,
        "id_dup": has_id & ~pl.col("id").is_first_distinct(),
        "ts_bad": pl.col("moment").is_null(),
        "currency_unknown": ~pl.col("currency").is_in(CURRENCIES).fill_null(False),
    }
    reason = pl.concat_str(
        pl.when(rule.fill_null(False)).then(pl.lit(f"{name};")).otherwise(pl.lit(""))
        for name, rule in rules.items()
    )
    judged = rows.select(
        "row", *COLUMNS, "amount_number", "moment", reason.alias("reason")
    ).collect(engine="streaming")

    good = judged.filter(pl.col("reason") == "").with_columns(
        pl.col("amount_number").alias("amount"), pl.col("moment").alias("ts")
    ).drop("amount_number", "moment", "reason")
    good.write_parquet(f"{folder}/good.parquet")
    judged.filter(pl.col("reason") != "").drop("amount_number", "moment").write_parquet(f"{folder}/bad.parquet")
    good.group_by("merchant", pl.col("ts").dt.truncate("1h").alias("hour")).agg(
        pl.len().alias("payments"), pl.col("amount").sum().alias("revenue")
    ).write_parquet(f"{folder}/revenue.parquet")
    print(f"polars {pl.__version__}: {len(good)} good of {len(judged)}")


main(sys.argv[1], sys.argv[2])
