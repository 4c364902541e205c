-- Stored parameters: what the latest version says of each, and the values of
-- the versions that are kept.

CREATE TABLE parameters (
    account         TEXT    NOT NULL,
    region          TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    version         INTEGER NOT NULL, -- the latest
    type            TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    key_id          TEXT    NOT NULL,
    allowed_pattern TEXT    NOT NULL,
    tier            TEXT    NOT NULL,
    data_type       TEXT    NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE parameters_versions (
    account     TEXT    NOT NULL,
    region      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    value       BLOB    NOT NULL, -- sealed where the type is SecureString
    modified_at INTEGER,
    modified_by TEXT    NOT NULL,
    PRIMARY KEY (account, region, name, version),
    FOREIGN KEY (account, region, name) REFERENCES parameters (account, region, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
