-- What Tidegate remembers of its runs. The same text is read by SQLite and PostgreSQL: only TEXT,
-- BIGINT and DOUBLE PRECISION, times in microseconds since 1970 (UTC), JSON as TEXT, '' where a
-- lineage edge speaks of a whole table and not of a column.
CREATE TABLE tidegate_runs (
    id               TEXT   NOT NULL PRIMARY KEY,
    kind             TEXT   NOT NULL,
    status           TEXT   NOT NULL,
    started_micros   BIGINT NOT NULL,
    heartbeat_micros BIGINT NOT NULL,
    ended_micros     BIGINT,
    arguments        TEXT   NOT NULL,
    error            TEXT,
    host             TEXT   NOT NULL,
    process_id       BIGINT NOT NULL,
    process_birth    TEXT   NOT NULL
);

CREATE INDEX tidegate_runs_by_start ON tidegate_runs (started_micros);

CREATE TABLE tidegate_flow_runs (
    run_id         TEXT   NOT NULL REFERENCES tidegate_runs (id) ON DELETE CASCADE,
    table_name     TEXT   NOT NULL,
    flow_name      TEXT   NOT NULL,
    epoch          BIGINT,
    status         TEXT   NOT NULL,
    started_micros BIGINT NOT NULL,
    seconds        DOUBLE PRECISION NOT NULL,
    rows_in        BIGINT NOT NULL,
    good           BIGINT NOT NULL,
    repaired       BIGINT NOT NULL,
    quarantined    BIGINT NOT NULL,
    dropped        BIGINT NOT NULL,
    kept_failed    BIGINT NOT NULL,
    bytes          BIGINT NOT NULL,
    skipped_reason TEXT,
    error          TEXT,
    PRIMARY KEY (run_id, table_name, flow_name)
);

CREATE INDEX tidegate_flow_runs_by_table ON tidegate_flow_runs (table_name, started_micros);

CREATE TABLE tidegate_expectation_results (
    run_id           TEXT   NOT NULL REFERENCES tidegate_runs (id) ON DELETE CASCADE,
    table_name       TEXT   NOT NULL,
    constraint_name  TEXT   NOT NULL,
    passed           BIGINT NOT NULL,
    failed           BIGINT NOT NULL,
    outcome          TEXT   NOT NULL,
    PRIMARY KEY (run_id, table_name, constraint_name)
);

CREATE TABLE tidegate_lineage (
    from_table  TEXT NOT NULL,
    from_column TEXT NOT NULL,
    to_table    TEXT NOT NULL,
    to_column   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    PRIMARY KEY (to_table, to_column, from_table, from_column, kind)
);
