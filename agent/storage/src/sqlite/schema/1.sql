-- What there is. Keys compare as bytes, which is the order the port promises.
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    value BLOB NOT NULL,
    -- the write that made the item as it is
    revision INTEGER NOT NULL,
    -- microseconds since 1970; NULL: never
    expires INTEGER
) STRICT;

CREATE INDEX items_expires ON items (expires) WHERE expires IS NOT NULL;

-- What happened lately, oldest first by id: what watchers that come back, and other processes, read.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    key TEXT NOT NULL,
    -- NULL: the item was removed
    value BLOB,
    expires INTEGER,
    -- microseconds since 1970: when it happened
    time INTEGER NOT NULL
) STRICT;

CREATE INDEX events_revision ON events (revision);

-- Where the store stands: one row.
CREATE TABLE position (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- of the last write
    revision INTEGER NOT NULL,
    -- events up to this revision are forgotten
    compacted INTEGER NOT NULL
) STRICT;

INSERT INTO position (id, revision, compacted) VALUES (1, 0, 0);
