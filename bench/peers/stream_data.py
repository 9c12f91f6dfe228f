"""Makes payments as JSON lines for the benchmarks of streams: the same arguments make the same rows.

They come nearly in the order of their times. One in fifty is up to 110 seconds late, which a delay of
two minutes forgives: so no contestant may drop any, and there is one right answer. The last line is a
day after all others and closes their windows; it belongs to a merchant and a country of its own.

Usage: stream_data.py EVENTS.jsonl ROWS [--keys N] [--uniform] [--rows-per-minute N]
"""

import argparse
import json

import duckdb

START = "2026-01-05 00:00:00"
COUNTRIES = (
    "DE FR NL BE AT CH IT ES PT PL CZ SK HU RO BG GR SE NO FI DK "
    "IE GB US CA MX BR AR CL JP KR CN IN ID AU NZ ZA NG KE EG TR"
).split()
CURRENCIES = ["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "PLN", "CZK"]
# As in the payments of the other benchmarks at their full size: five million in a week.
ROWS_PER_MINUTE = 5_000_000 / (7 * 24 * 60)


def random(salt):
    """Uniform in [0, 1), by row and salt: a hash, so that threads and chunks do not matter."""
    return f"(hash(i, '{salt}') >> 11) / 9007199254740992.0"


def selection(rows, keys, uniform, rows_per_minute):
    # A few merchants have most of the payments: the continuous form of weights 1 / rank ** 0.6.
    rank = random("merchant") if uniform else f"pow({random('merchant')}, 2.5)"
    milliseconds = 60_000 / rows_per_minute
    normal = f"sqrt(-2 * ln(1 - {random('radius')})) * cos(2 * pi() * {random('angle')})"
    return f"""
        SELECT printf('P%09d', i + 1) AS id,
               printf('C%06d', CAST(floor({random('card')} * 100000) AS BIGINT)) AS card_id,
               printf('merchant_%08d', CAST(floor({rank} * {keys}) AS BIGINT)) AS merchant,
               {COUNTRIES}[1 + CAST(floor({random('country')} * {len(COUNTRIES)}) AS BIGINT)] AS country,
               round(exp(3.2 + 1.1 * {normal}) + 0.01, 2) AS amount,
               {CURRENCIES}[1 + CAST(floor({random('currency')} * {len(CURRENCIES)}) AS BIGINT)] AS currency,
               strftime(TIMESTAMP '{START}' + to_milliseconds(greatest(0, CAST(
                   i * {milliseconds}
                   + {random('jitter')} * 1000
                   - CASE WHEN {random('late')} < 0.02 THEN {random('lateness')} * 109000 ELSE 0 END
               AS BIGINT))), '%Y-%m-%dT%H:%M:%S.%gZ') AS ts,
               printf('user%d@mail%d.example', CAST(floor({random('card')} * 50000) AS BIGINT),
                      CAST(floor({random('mail')} * 97) AS BIGINT)) AS email,
               printf('10.%d.%d.%d', hash(i, 'a') % 255, hash(i, 'b') % 255, hash(i, 'c') % 255) AS ip
        FROM range({rows - 1}) AS every(i) ORDER BY i"""


def main(options):
    connection = duckdb.connect()
    query = selection(options.rows, options.keys, options.uniform, options.rows_per_minute)
    connection.execute(f"COPY ({query}) TO '{options.events}' (FORMAT json)")
    minutes = options.rows / options.rows_per_minute + 24 * 60
    end = connection.execute(
        f"SELECT strftime(TIMESTAMP '{START}' + to_milliseconds({int(minutes * 60_000)}), "
        "'%Y-%m-%dT%H:%M:%S.%gZ')"
    ).fetchone()[0]
    last = {
        "id": f"P{options.rows:09d}", "card_id": "C000000", "merchant": "the end", "country": "XX",
        "amount": 1.0, "currency": "EUR", "ts": end, "email": "nobody@mail0.example", "ip": "10.0.0.0",
    }
    with open(options.events, "a", encoding="utf-8") as file:
        file.write(json.dumps(last, separators=(",", ":")) + "\n")


parser = argparse.ArgumentParser()
parser.add_argument("events")
parser.add_argument("rows", type=int)
parser.add_argument("--keys", type=int, default=2000)
parser.add_argument("--uniform", action="store_true")
parser.add_argument("--rows-per-minute", type=float, default=ROWS_PER_MINUTE)
main(parser.parse_args())
