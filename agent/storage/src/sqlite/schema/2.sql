-- What happened lately, in the order of revisions: the changes of one commit share a row, which is
-- written once where a row each, with an index, was several pages more. Takes the place of `events`.
CREATE TABLE journal (
    -- the revision of the last change in the row times 65536, plus the number of the part where one
    -- write fills several rows
    id INTEGER PRIMARY KEY,
    -- how many changes are in it
    changes INTEGER NOT NULL,
    -- the bytes of their values
    bytes INTEGER NOT NULL,
    -- microseconds since 1970: when they happened
    time INTEGER NOT NULL,
    -- the changes; last, so that the others are read without it
    steps BLOB NOT NULL
) STRICT;

-- The past is not carried over: whoever watched before this step lists again.
UPDATE position SET compacted = revision;

DROP TABLE events;
