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
