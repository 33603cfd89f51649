"""All tables, and the numbered steps that lead from one released layout to the next."""

from __future__ import annotations

RECORDS = """
CREATE TABLE records (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,   -- empty for global services
    name        TEXT NOT NULL,
    arn         TEXT NOT NULL,
    status      TEXT NOT NULL,
    spec        TEXT NOT NULL,   -- what was asked: the create request, JSON
    observed    TEXT NOT NULL,   -- what was seen since: JSON
    tags        TEXT NOT NULL,
    created     REAL NOT NULL,   -- seconds since 1970
    modified    REAL NOT NULL,
    version     INTEGER NOT NULL,
    due         REAL,            -- when a controller must look at it; NULL: never
    touched     INTEGER NOT NULL DEFAULT 0,   -- 1: made due anew since it was leased
    lease_token TEXT,
    lease_until REAL,
    UNIQUE (kind, account, region, name)
);
CREATE INDEX records_by_arn ON records (arn);
CREATE INDEX records_by_created ON records (kind, account, region, created, id);
CREATE INDEX records_by_modified ON records (kind, account, region, modified, id);
CREATE INDEX records_due ON records (due) WHERE due IS NOT NULL;
"""

OBJECTS = """
CREATE TABLE objects (
    bucket     TEXT NOT NULL,
    past       INTEGER NOT NULL,   -- 0: the current version of its key, 1: an earlier one
    key        TEXT NOT NULL,
    sequence   INTEGER NOT NULL,   -- grows with every write; also the id of the content
    version_id TEXT NOT NULL,      -- 'null' when it was written without versioning
    deleted    INTEGER NOT NULL,   -- 1: a delete marker
    size       INTEGER NOT NULL,
    etag       TEXT NOT NULL,      -- with its quotes
    modified   REAL NOT NULL,
    checksum   TEXT NOT NULL,      -- algorithm, type and value, parted by blanks
    meta       TEXT NOT NULL,      -- headers, user metadata, tags: JSON
    PRIMARY KEY (bucket, past, key, sequence DESC)
) WITHOUT ROWID;
CREATE TABLE contents (
    id         INTEGER PRIMARY KEY,
    bytes      BLOB,               -- a small object
    file       TEXT,               -- or the name of a content file
    upload_id  TEXT                -- or the upload whose parts make up the object
);
CREATE TABLE uploads (
    upload_id  TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL,
    key        TEXT NOT NULL,
    initiated  REAL NOT NULL,
    initiator  TEXT NOT NULL,
    meta       TEXT NOT NULL,
    checksum   TEXT NOT NULL       -- algorithm and type of the checksum of the object to be
);
CREATE INDEX uploads_by_key ON uploads (bucket, key, initiated);
CREATE TABLE parts (               -- they stay when the upload is completed
    upload_id  TEXT NOT NULL,
    number     INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    etag       TEXT NOT NULL,
    modified   REAL NOT NULL,
    checksum   TEXT NOT NULL,
    file       TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;
"""

LOGS = """
CREATE TABLE log_streams (
    id          INTEGER PRIMARY KEY,
    log_group   TEXT NOT NULL,     -- account/region/name
    name        TEXT NOT NULL,
    created     INTEGER NOT NULL,  -- milliseconds since 1970, as everywhere in CloudWatch Logs
    first_event INTEGER,
    last_event  INTEGER,
    ingested    INTEGER,
    position    INTEGER NOT NULL DEFAULT 0,   -- bytes of the workload's log file taken over so far
    UNIQUE (log_group, name)
);
CREATE TABLE log_events (
    stream   INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    id       INTEGER NOT NULL,
    ingested INTEGER NOT NULL,
    message  TEXT NOT NULL,
    PRIMARY KEY (stream, time, id)
) WITHOUT ROWID;
"""

METRICS = """
CREATE TABLE metric_names (
    id         INTEGER PRIMARY KEY,
    scope      TEXT NOT NULL,      -- account/region
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    dimensions TEXT NOT NULL,      -- JSON list of [name, value], sorted
    updated    REAL NOT NULL,
    UNIQUE (scope, namespace, name, dimensions)
);
CREATE TABLE metric_data (
    metric INTEGER NOT NULL,
    time   REAL NOT NULL,
    id     INTEGER NOT NULL,
    unit   TEXT NOT NULL,
    count  REAL NOT NULL,
    sum    REAL NOT NULL,
    low    REAL NOT NULL,
    high   REAL NOT NULL,
    PRIMARY KEY (metric, time, id)
) WITHOUT ROWID;
"""

REVISIONS = """
CREATE TABLE revisions (           -- counts the writes to the records of a kind, for the caches of all processes
    kind   TEXT PRIMARY KEY,
    number INTEGER NOT NULL
);
"""

ENCRYPTION = """
ALTER TABLE contents ADD COLUMN sealed_key BLOB;   -- the key of encrypted bytes, sealed; NULL: they are as they came
ALTER TABLE parts ADD COLUMN sealed_key BLOB;
CREATE INDEX contents_by_file ON contents (file) WHERE file IS NOT NULL;
CREATE INDEX parts_by_file ON parts (file);
"""

OBJECT_EVENTS = """
CREATE TABLE object_events (       -- what happened to objects and is yet to be told or replicated
    id       INTEGER PRIMARY KEY,
    bucket   TEXT NOT NULL,
    target   TEXT NOT NULL,        -- what for, and whom to tell
    key      TEXT NOT NULL,
    event    TEXT NOT NULL,        -- JSON
    at       REAL NOT NULL,        -- when it happened, in seconds since 1970
    attempts INTEGER NOT NULL,
    due      REAL NOT NULL         -- when to try again; at first, when it happened
);
CREATE INDEX object_events_by_target ON object_events (bucket, target, id);
"""

MIGRATIONS: tuple[str, ...] = (
    RECORDS + OBJECTS + LOGS + METRICS,
    REVISIONS + ENCRYPTION + OBJECT_EVENTS,
)
"""Step N brings a database from layout N to N + 1; released steps never change."""
