"""The gate job in DuckDB, in two ways.

reader: its CSV reader, strict, with the table of rejects. As a user would do it; broken quotes swallow
        the lines that follow them.
lines:  raw lines and one regular expression, to catch everything.

Usage: gate_duckdb.py INPUT.csv FOLDER reader|lines
"""

import os
import sys

import duckdb

COLUMNS = ["id", "card_id", "merchant", "country", "amount", "currency", "ts", "email", "ip"]
CURRENCIES = "('EUR', 'USD', 'GBP', 'CHF', 'JPY', 'SEK', 'PLN', 'CZK')"
FIELD = '("[^"]*"|[^",]*)'
LINE = "^" + ",".join([FIELD] * len(COLUMNS)) + "$"


def load_with_reader(connection, source):
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    connection.execute(f"""
        CREATE TABLE raw AS
        SELECT row_number() OVER () AS row, '' AS broken, *
        FROM read_csv('{source}', header = true, auto_detect = false, delim = ',', quote = '"',
                      escape = '"', columns = {{{types}}}, strict_mode = true,
                      store_rejects = true, rejects_limit = 0)""")
    return """
        UNION ALL BY NAME
        SELECT any_value(line) AS row,
               split_part(any_value(csv_line), ',', 1) AS id,
               split_part(any_value(csv_line), ',', 2) AS card_id,
               string_agg(CASE error_type WHEN 'UNQUOTED VALUE' THEN 'broken_quote;'
                                          ELSE 'field_count;' END, '') AS reason
        FROM reject_errors GROUP BY line_byte_position"""


def load_lines(connection, source):
    names = "[" + ", ".join(f"'{name}'" for name in COLUMNS) + "]"
    fields = ", ".join(f"trim(fields.{name}, '\"') AS {name}" for name in COLUMNS[2:])
    connection.execute(f"""
        CREATE TABLE raw AS
        WITH lines AS (
            SELECT row_number() OVER () AS row, line
            FROM read_csv('{source}', header = false, skip = 1, auto_detect = false, quote = '',
                          escape = '', delim = '\x01', columns = {{'line': 'VARCHAR'}})
        ), split AS (
            SELECT row, line, regexp_matches(line, '{LINE}') AS whole,
                   regexp_extract(line, '{LINE}', {names}) AS fields
            FROM lines
        )
        SELECT row,
               CASE WHEN whole THEN ''
                    WHEN (length(line) - length(replace(line, '"', ''))) % 2 = 1
                         OR regexp_matches(line, '"[^,"]*"[^,]') THEN 'broken_quote;'
                    ELSE 'field_count;' END AS broken,
               CASE WHEN whole THEN fields.id ELSE split_part(line, ',', 1) END AS id,
               CASE WHEN whole THEN fields.card_id ELSE split_part(line, ',', 2) END AS card_id,
               {fields}
        FROM split""")
    return ""


def main(source, folder, mode):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {os.cpu_count()}")
    load = {"reader": load_with_reader, "lines": load_lines}[mode]
    rejects = load(connection, source)
    connection.execute(f"""
        CREATE TABLE judged AS
        WITH first_rows AS (
            SELECT id, min(row) AS first_row FROM raw
            WHERE coalesce(id, '') <> '' GROUP BY id HAVING count(*) > 1
        ), typed AS (
            SELECT raw.*, first_row, try_cast(amount AS DOUBLE) AS amount_number,
                   try_cast(ts AS TIMESTAMPTZ) AS moment
            FROM raw LEFT JOIN first_rows USING (id)
        )
        SELECT *, broken
            || CASE WHEN amount_number IS NULL THEN 'amount_nan;' ELSE '' END
            || CASE WHEN amount_number < 0 THEN 'amount_neg;' ELSE '' END
            || CASE WHEN coalesce(id, '') = '' THEN 'id_missing;' ELSE '' END
            || CASE WHEN row > first_row THEN 'id_dup;' ELSE '' END
            || CASE WHEN moment IS NULL THEN 'ts_bad;' ELSE '' END
            || CASE WHEN currency IN {CURRENCIES} THEN '' ELSE 'currency_unknown;' END AS reason
        FROM typed""")
    connection.execute(f"""
        COPY (SELECT id, card_id, merchant, country, amount_number AS amount, currency, moment AS ts,
                     email, ip
              FROM judged WHERE reason = '') TO '{folder}/good.parquet'""")
    connection.execute(f"""
        COPY (SELECT row, id, card_id, merchant, country, amount, currency, ts, email, ip, reason
              FROM judged WHERE reason <> '' {rejects}) TO '{folder}/bad.parquet'""")
    connection.execute(f"""
        COPY (SELECT merchant, date_trunc('hour', moment) AS hour, count(*) AS payments,
                     sum(amount_number) AS revenue
              FROM judged WHERE reason = '' GROUP BY ALL) TO '{folder}/revenue.parquet'""")
    print("duckdb", duckdb.__version__, mode)


main(*sys.argv[1:4])
