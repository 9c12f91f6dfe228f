"""The gate job in pandas: its C parser, everything as text, then a mask for each rule.

Lines with too many fields vanish in the parser, and a quote that is never closed swallows the lines
that follow; that is what a user of pandas gets.

Usage: gate_pandas.py INPUT.csv FOLDER
"""

import sys

import numpy as np
import pandas as pd

CURRENCIES = ["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "PLN", "CZK"]


def main(source, folder):
    rows = pd.read_csv(source, dtype=str, keep_default_na=False, na_values=[], on_bad_lines="skip")
    amount = pd.to_numeric(rows["amount"], errors="coerce")
    moment = pd.to_datetime(rows["ts"], format="ISO8601", errors="coerce", utc=True)
    spans_lines = (
        rows["merchant"].str.contains("\n", regex=False)
        | rows["email"].str.contains("\n", regex=False).fillna(False)
    )
    no_id = rows["id"] == ""
    rules = {
        "field_count": rows["ip"].isna() | (rows["ip"] == ""),
        "broken_quote": spans_lines.fillna(False),
        "amount_nan": amount.isna(),
        "amount_neg": amount < 0,
        "id_missing": no_id,
        "id_dup": rows["id"].duplicated() & ~no_id,
        "ts_bad": moment.isna(),
        "currency_unknown": ~rows["currency"].isin(CURRENCIES),
    }
    masks = {name: rule.to_numpy(dtype=bool) for name, rule in rules.items()}
    is_bad = np.logical_or.reduce(list(masks.values()))

    good = rows[~is_bad].assign(amount=amount[~is_bad], ts=moment[~is_bad])
    good.to_parquet(f"{folder}/good.parquet", index=False)
    # Reasons are only written where there are some: few rows, so a loop over the kinds is cheap.
    bad = rows[is_bad].assign(row=np.flatnonzero(is_bad) + 1)
    reason = np.full(len(bad), "", dtype=object)
    for name, mask in masks.items():
        reason[mask[is_bad]] += name + ";"
    bad.assign(reason=reason).to_parquet(f"{folder}/bad.parquet", index=False)
    by_hour = good.groupby(["merchant", good["ts"].dt.floor("h")])["amount"].agg(["count", "sum"])
    by_hour.reset_index().to_parquet(f"{folder}/revenue.parquet", index=False)
    print(f"pandas {pd.__version__}: {len(good)} good, {len(bad)} bad")


main(sys.argv[1], sys.argv[2])
