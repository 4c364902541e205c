-- The first schema: commands and what belongs to them, instances, documents,
-- activations. Times are microseconds since 1970 UTC, NULL for "never".
-- newest_first is RequestedAt negated: one ascending index lists the newest
-- first with ids ascending, and a row value compares with it where a page ends.
-- open is 1 until the status is terminal.

CREATE TABLE commands (
    account         TEXT    NOT NULL,
    region          TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    newest_first    INTEGER NOT NULL,
    open            INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    details         TEXT    NOT NULL,
    document        TEXT    NOT NULL,
    revision        INTEGER NOT NULL,
    counts          TEXT    NOT NULL, -- JSON of ssmrun.Counts
    caller          TEXT    NOT NULL,
    token           TEXT    NOT NULL, -- '' for none
    comment         TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    expires_after   INTEGER,
    timeout_seconds INTEGER NOT NULL,
    max_concurrency TEXT    NOT NULL,
    max_errors      TEXT    NOT NULL,
    output_region   TEXT    NOT NULL,
    output_bucket   TEXT    NOT NULL,
    output_prefix   TEXT    NOT NULL,
    service_role    TEXT    NOT NULL,
    -- the range of newest_first of its invocations, NULL where it has none:
    -- with it invocations_by_time serves the list of one command's too
    span_low        INTEGER,
    span_high       INTEGER,
    PRIMARY KEY (account, region, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX commands_by_time ON commands (account, region, newest_first, id);
CREATE INDEX commands_open ON commands (account, region, newest_first, id) WHERE open = 1;
CREATE UNIQUE INDEX commands_by_token ON commands (account, region, caller, token) WHERE token <> '';

-- What may be big and never changes lies beside the command, because every
-- change of a count rewrites the command's row.
CREATE TABLE commands_input (
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    id           TEXT NOT NULL,
    content_hash BLOB NOT NULL,
    parameters   TEXT NOT NULL, -- JSON
    instance_ids TEXT NOT NULL, -- JSON
    targets      TEXT NOT NULL, -- JSON
    PRIMARY KEY (account, region, id),
    FOREIGN KEY (account, region, id) REFERENCES commands (account, region, id) ON DELETE CASCADE,
    FOREIGN KEY (account, region, content_hash) REFERENCES documents_content (account, region, hash)
) STRICT;

CREATE TABLE invocations (
    account          TEXT    NOT NULL,
    region           TEXT    NOT NULL,
    command_id       TEXT    NOT NULL,
    instance_id      TEXT    NOT NULL,
    newest_first     INTEGER NOT NULL,
    open             INTEGER NOT NULL,
    status           TEXT    NOT NULL,
    details          TEXT    NOT NULL,
    instance_name    TEXT    NOT NULL,
    handed           INTEGER,
    begun            INTEGER,
    cancel_requested INTEGER,
    deliver_by       INTEGER,
    finish_by        INTEGER,
    next             INTEGER,
    trace            TEXT    NOT NULL,
    PRIMARY KEY (account, region, command_id, instance_id),
    FOREIGN KEY (account, region, command_id) REFERENCES commands (account, region, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX invocations_by_time ON invocations (account, region, newest_first, command_id, instance_id);
CREATE INDEX invocations_by_instance ON invocations (account, region, instance_id, newest_first, command_id);
CREATE INDEX invocations_open ON invocations (account, region, instance_id, newest_first DESC, command_id) WHERE open = 1;
CREATE INDEX invocations_due ON invocations (next) WHERE next IS NOT NULL;

CREATE TABLE plugins (
    account       TEXT    NOT NULL,
    region        TEXT    NOT NULL,
    command_id    TEXT    NOT NULL,
    instance_id   TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    status        TEXT    NOT NULL,
    details       TEXT    NOT NULL,
    exit_code     INTEGER NOT NULL,
    started       INTEGER,
    finished      INTEGER,
    output_region TEXT    NOT NULL,
    output_bucket TEXT    NOT NULL,
    output_prefix TEXT    NOT NULL,
    stdout        TEXT    NOT NULL,
    stderr        TEXT    NOT NULL,
    PRIMARY KEY (account, region, command_id, instance_id, name),
    FOREIGN KEY (account, region, command_id, instance_id)
        REFERENCES invocations (account, region, command_id, instance_id) ON DELETE CASCADE
) STRICT;

-- Contents are kept once per scope, by SHA-256, whichever document or command
-- they belong to.
CREATE TABLE documents_content (
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    hash    BLOB NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (account, region, hash)
) STRICT;

-- account and region are '' for documents that are there in every scope.
CREATE TABLE documents (
    account        TEXT    NOT NULL,
    region         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    content_hash   BLOB    NOT NULL,
    format         TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    schema_version TEXT    NOT NULL,
    created_at     INTEGER,
    owner          TEXT    NOT NULL,
    PRIMARY KEY (account, region, name, version),
    FOREIGN KEY (account, region, content_hash) REFERENCES documents_content (account, region, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
    account          TEXT    NOT NULL,
    region           TEXT    NOT NULL,
    id               TEXT    NOT NULL PRIMARY KEY, -- of all scopes: an agent is known by its id alone
    name             TEXT    NOT NULL,
    ip_address       TEXT    NOT NULL,
    agent_name       TEXT    NOT NULL,
    agent_version    TEXT    NOT NULL,
    platform_type    TEXT    NOT NULL,
    platform_name    TEXT    NOT NULL,
    platform_version TEXT    NOT NULL,
    activation_id    TEXT    NOT NULL,
    iam_role         TEXT    NOT NULL,
    public_key       TEXT    NOT NULL,
    fingerprint      TEXT    NOT NULL,
    registered_at    INTEGER,
    last_ping        INTEGER,
    stopped          INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX instances_by_scope ON instances (account, region, id);

CREATE TABLE activations (
    account       TEXT    NOT NULL,
    region        TEXT    NOT NULL,
    id            TEXT    NOT NULL PRIMARY KEY, -- of all scopes, as an agent that registers is unsigned
    code_hash     BLOB    NOT NULL,
    iam_role      TEXT    NOT NULL,
    description   TEXT    NOT NULL,
    default_name  TEXT    NOT NULL,
    instance_id   TEXT    NOT NULL,
    use_limit     INTEGER NOT NULL,
    use_count     INTEGER NOT NULL,
    created_at    INTEGER,
    expires_at    INTEGER,
    forgets_after INTEGER NOT NULL
) STRICT;
