"""The gate job in PySpark on this machine alone: its CSV reader, permissive, with the column of
corrupt records. Needs Java 17.

Usage: gate_pyspark.py INPUT.csv FOLDER
"""

import os
import sys

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

COLUMNS = ["id", "card_id", "merchant", "country", "amount", "currency", "ts", "email", "ip"]
CURRENCIES = ["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "PLN", "CZK"]


def main(source, folder):
    cores = os.cpu_count()
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", "6g")
        .config("spark.sql.shuffle.partitions", str(2 * cores))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.local.dir", f"{folder}/spark")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    schema = ", ".join(f"{name} STRING" for name in [*COLUMNS, "corrupt"])
    rows = spark.read.csv(
        source, header=True, schema=schema, mode="PERMISSIVE", quote='"', escape='"',
        columnNameOfCorruptRecord="corrupt",
    )
    no_id = F.coalesce("id", F.lit("")) == ""
    same_id = Window.partitionBy("id").orderBy("position")
    rows = (
        rows.withColumn("position", F.monotonically_increasing_id())
        .withColumn("amount_number", F.expr("try_cast(amount AS DOUBLE)"))
        .withColumn("moment", F.expr("try_cast(ts AS TIMESTAMP)"))
        .withColumn("place", F.row_number().over(same_id))
    )
    one_quote = F.col("corrupt").rlike('^[^"]*"[^"]*$')
    rules = {
        "broken_quote": F.col("corrupt").isNotNull() & one_quote,
        "field_count": F.col("corrupt").isNotNull() & ~one_quote,
        "amount_nan": F.col("amount_number").isNull(),
        "amount_neg": F.col("amount_number") < 0,
        "id_missing": no_id,
        "id_dup": (F.col("place") > 1) & ~no_id,
        "ts_bad": F.col("moment").isNull(),
        "currency_unknown": ~F.coalesce(F.col("currency").isin(CURRENCIES), F.lit(False)),
    }
    reasons = [F.when(rule, f"{name};").otherwise("") for name, rule in rules.items()]
    judged = rows.withColumn("reason", F.concat(*reasons)).persist()
    good = judged.filter("reason = ''").select(
        "id", "card_id", "merchant", "country", F.col("amount_number").alias("amount"), "currency",
        F.col("moment").alias("ts"), "email", "ip",
    )
    good.write.parquet(f"{folder}/good.parquet")
    judged.filter("reason <> ''").select(*COLUMNS, "reason").write.parquet(f"{folder}/bad.parquet")
    good.groupBy("merchant", F.date_trunc("hour", "ts").alias("hour")).agg(
        F.count("*").alias("payments"), F.sum("amount").alias("revenue")
    ).write.parquet(f"{folder}/revenue.parquet")
    print("pyspark", spark.version)
    spark.stop()


main(sys.argv[1], sys.argv[2])
