"""The windows job in Spark Structured Streaming on all cores of this machine: what is there (AvailableNow), in
append mode; JSON lines in, count and sum of each key and window out as Parquet. Needs Java 17.

Usage: stream_spark.py EVENTS.jsonl FOLDER KEY SIZE_MINUTES STEP_MINUTES
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

SCHEMA = (
    "id STRING, card_id STRING, merchant STRING, country STRING, amount DOUBLE, currency STRING, "
    "ts TIMESTAMP"
)


def main(events, folder, key, size, step):
    cores = os.cpu_count()
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", "6g")
        .config("spark.sql.shuffle.partitions", str(cores))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.local.dir", f"{folder}/spark")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    windows = (
        # A source is a folder: the file has one of its own.
        spark.readStream.schema(SCHEMA).json(os.path.dirname(events))
        .withWatermark("ts", "2 minutes")
        .groupBy(key, F.window("ts", f"{size} minutes", f"{step} minutes"))
        .agg(F.count("*").alias("n"), F.sum("amount").alias("s"))
        .select(F.col(key).alias("k"), F.col("window.start").alias("start_time"), "n", "s")
    )
    query = (
        windows.writeStream.outputMode("append").format("parquet")
        .option("checkpointLocation", f"{folder}/checkpoint")
        .option("path", f"{folder}/windows.parquet")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    spark.stop()


main(*sys.argv[1:6])
