-- Documents with what they are beside their versions, and tags. Rows of the old
-- table become versions; their document's default is the lowest, as it was.
-- Nothing was ever stored in it for every scope.

ALTER TABLE documents RENAME TO old_documents;

CREATE TABLE documents (
    account         TEXT    NOT NULL,
    region          TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    type            TEXT    NOT NULL,
    created_at      INTEGER,
    default_version INTEGER NOT NULL,
    next_version    INTEGER NOT NULL,
    requires        TEXT    NOT NULL, -- JSON
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

INSERT INTO documents
    SELECT account, region, name, max(type), min(created_at), min(version), max(version) + 1, 'null'
    FROM old_documents WHERE account <> '' GROUP BY account, region, name;

CREATE TABLE document_versions (
    account        TEXT    NOT NULL,
    region         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    number         INTEGER NOT NULL,
    version_name   TEXT    NOT NULL, -- '' for none
    display_name   TEXT    NOT NULL,
    target_type    TEXT    NOT NULL,
    content_hash   BLOB    NOT NULL,
    format         TEXT    NOT NULL,
    schema_version TEXT    NOT NULL,
    platform_types TEXT    NOT NULL, -- JSON; null where it was not noted
    created_at     INTEGER,
    author         TEXT    NOT NULL,
    attachments    TEXT    NOT NULL, -- JSON
    review_status  TEXT    NOT NULL,
    PRIMARY KEY (account, region, name, number),
    FOREIGN KEY (account, region, name) REFERENCES documents (account, region, name) ON DELETE CASCADE,
    FOREIGN KEY (account, region, content_hash) REFERENCES documents_content (account, region, hash)
) STRICT, WITHOUT ROWID;

INSERT INTO document_versions
    SELECT account, region, name, version, '', '', '', content_hash, format, schema_version, 'null', created_at, '', 'null', ''
    FROM old_documents WHERE account <> '';

DROP TABLE old_documents;

CREATE UNIQUE INDEX document_versions_by_name ON document_versions (account, region, name, version_name) WHERE version_name <> '';

-- Who refers to a content: it may go when nobody does.
CREATE INDEX document_versions_by_content ON document_versions (account, region, content_hash);

CREATE TABLE document_shares (
    account    TEXT NOT NULL, -- the owner's
    region     TEXT NOT NULL,
    name       TEXT NOT NULL,
    shared_to  TEXT NOT NULL, -- an account, or 'all'
    version    TEXT NOT NULL,
    PRIMARY KEY (account, region, name, shared_to),
    FOREIGN KEY (account, region, name) REFERENCES documents (account, region, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX document_shares_by_receiver ON document_shares (region, shared_to, account, name, version);

CREATE TABLE document_reviews (
    account    TEXT    NOT NULL,
    region     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    comment    TEXT    NOT NULL,
    reviewer   TEXT    NOT NULL,
    created_at INTEGER,
    updated_at INTEGER,
    PRIMARY KEY (account, region, name, version, number),
    FOREIGN KEY (account, region, name, version) REFERENCES document_versions (account, region, name, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Tags of all kinds of resources. A resource has a key once, so a row of the
-- index by value is one resource.

CREATE TABLE tags (
    account       TEXT NOT NULL,
    region        TEXT NOT NULL,
    resource_type TEXT NOT NULL, -- as ResourceTypeForTagging spells it
    resource_id   TEXT NOT NULL,
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (account, region, resource_type, resource_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX tags_by_value ON tags (account, region, resource_type, key, value, resource_id);
