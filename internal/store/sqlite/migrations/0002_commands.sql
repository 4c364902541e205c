-- Commands with numbers. A command is known to its invocations and plugins by
-- its number, which is short, instead of by account, region and id; scopes have
-- numbers too. An invocation's RequestedAt is its command's. A plugin has a row
-- once an agent has said something of it: until then there is nothing to keep,
-- because the command's steps tell its name. Whoever removes a command removes
-- its invocations and plugins before.

CREATE TABLE scopes (
    n       INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    UNIQUE (account, region)
) STRICT;

INSERT INTO scopes (account, region) SELECT DISTINCT account, region FROM commands;

CREATE TABLE commands2 (
    n               INTEGER PRIMARY KEY,
    scope           INTEGER NOT NULL,
    id              TEXT    NOT NULL,
    newest_first    INTEGER NOT NULL,
    open            INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    details         TEXT    NOT NULL,
    document        TEXT    NOT NULL,
    revision        INTEGER NOT NULL,
    counts          TEXT    NOT NULL, -- JSON of ssmrun.Counts
    turn            TEXT    NOT NULL,
    steps           TEXT    NOT NULL, -- JSON of []ssmrun.Step
    caller          TEXT    NOT NULL,
    token           BLOB,             -- digest of caller and token, NULL for none
    comment         TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    expires_after   INTEGER,
    timeout_seconds INTEGER NOT NULL,
    max_concurrency TEXT    NOT NULL,
    max_errors      TEXT    NOT NULL,
    output_region   TEXT    NOT NULL,
    output_bucket   TEXT    NOT NULL,
    output_prefix   TEXT    NOT NULL,
    service_role    TEXT    NOT NULL
) STRICT;

-- What may be big and never changes lies beside the command, because every
-- change of a count rewrites the command's row.
CREATE TABLE commands2_input (
    n            INTEGER PRIMARY KEY, -- of the command
    content      INTEGER NOT NULL,    -- n of commands_content
    parameters   TEXT NOT NULL, -- JSON
    instance_ids TEXT NOT NULL, -- JSON
    targets      TEXT NOT NULL  -- JSON
) STRICT;

-- The documents of commands, as agents get them, once per scope, by SHA-256.
CREATE TABLE commands_content (
    n       INTEGER PRIMARY KEY,
    scope   INTEGER NOT NULL,
    hash    BLOB    NOT NULL,
    content TEXT    NOT NULL,
    UNIQUE (scope, hash)
) STRICT;

CREATE TABLE invocations2 (
    command          INTEGER NOT NULL,
    instance_id      TEXT    NOT NULL,
    newest_first     INTEGER NOT NULL, -- its command's
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
    PRIMARY KEY (command, instance_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugins2 (
    command       INTEGER NOT NULL,
    instance_id   TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    details       TEXT    NOT NULL,
    exit_code     INTEGER NOT NULL,
    started       INTEGER,
    finished      INTEGER,
    output_region TEXT    NOT NULL,
    output_bucket TEXT    NOT NULL,
    output_prefix TEXT    NOT NULL,
    stdout        TEXT    NOT NULL,
    stderr        TEXT    NOT NULL
) STRICT;

INSERT INTO commands2 (scope, id, newest_first, open, status, details, document, revision, counts, turn, steps, caller,
        token, comment, version, expires_after, timeout_seconds, max_concurrency, max_errors, output_region,
        output_bucket, output_prefix, service_role)
    SELECT s.n, c.id, c.newest_first, c.open, c.status, c.details, c.document, c.revision, c.counts,
        -- the last whose turn had come; invocations get theirs by instance id
        coalesce((SELECT max(i.instance_id) FROM invocations i WHERE i.account = c.account AND i.region = c.region
            AND i.command_id = c.id AND i.deliver_by IS NOT NULL), ''),
        coalesce((SELECT json_group_array(json_object('Name', p.name, 'Action', p.action)) FROM (
            SELECT DISTINCT name, action, position FROM plugins
            WHERE account = c.account AND region = c.region AND command_id = c.id ORDER BY position) p), '[]'),
        -- what a repeated request would have shown is of the past by now
        c.caller, NULL, c.comment, c.version, c.expires_after, c.timeout_seconds, c.max_concurrency, c.max_errors,
        c.output_region, c.output_bucket, c.output_prefix, c.service_role
    FROM commands c JOIN scopes s ON s.account = c.account AND s.region = c.region
    ORDER BY c.newest_first DESC;

INSERT INTO commands_content (scope, hash, content)
    SELECT s.n, d.hash, d.content FROM documents_content d JOIN scopes s ON s.account = d.account AND s.region = d.region
    WHERE EXISTS (SELECT 1 FROM commands_input i
        WHERE i.account = d.account AND i.region = d.region AND i.content_hash = d.hash);

INSERT INTO commands2_input (n, content, parameters, instance_ids, targets)
    SELECT c.n, d.n, i.parameters, i.instance_ids, i.targets
    FROM commands2 c JOIN scopes s ON s.n = c.scope
    JOIN commands_input i ON i.account = s.account AND i.region = s.region AND i.id = c.id
    JOIN commands_content d ON d.scope = c.scope AND d.hash = i.content_hash;

INSERT INTO invocations2 (command, instance_id, newest_first, open, status, details, instance_name, handed, begun,
        cancel_requested, deliver_by, finish_by, next, trace)
    SELECT c.n, i.instance_id, c.newest_first, i.open, i.status, i.details, i.instance_name, i.handed, i.begun,
        i.cancel_requested, i.deliver_by, i.finish_by, i.next, i.trace
    FROM invocations i JOIN scopes s ON s.account = i.account AND s.region = i.region
    JOIN commands2 c ON c.scope = s.n AND c.id = i.command_id;

INSERT INTO plugins2 (command, instance_id, position, name, action, status, details, exit_code, started, finished,
        output_region, output_bucket, output_prefix, stdout, stderr)
    SELECT c.n, p.instance_id, p.position, p.name, p.action, p.status, p.details, p.exit_code, p.started, p.finished,
        p.output_region, p.output_bucket, p.output_prefix, p.stdout, p.stderr
    FROM plugins p JOIN scopes s ON s.account = p.account AND s.region = p.region
    JOIN commands2 c ON c.scope = s.n AND c.id = p.command_id;

DROP TABLE plugins;
DROP TABLE invocations;
DROP TABLE commands_input;
DROP TABLE commands;
DELETE FROM documents_content WHERE NOT EXISTS (SELECT 1 FROM documents d
    WHERE d.account = documents_content.account AND d.region = documents_content.region
    AND d.content_hash = documents_content.hash);

ALTER TABLE commands2 RENAME TO commands;
ALTER TABLE commands2_input RENAME TO commands_input;
ALTER TABLE invocations2 RENAME TO invocations;
ALTER TABLE plugins2 RENAME TO plugins;

CREATE UNIQUE INDEX commands_by_id ON commands (scope, id);
CREATE UNIQUE INDEX commands_by_token ON commands (token) WHERE token IS NOT NULL;
CREATE INDEX commands_by_time ON commands (scope, newest_first);
CREATE INDEX commands_by_status ON commands (scope, status, newest_first);
CREATE INDEX commands_by_details ON commands (scope, details, newest_first);
CREATE INDEX commands_by_document ON commands (scope, document, newest_first);
CREATE INDEX commands_open ON commands (scope, newest_first) WHERE open = 1;
CREATE INDEX commands_input_by_content ON commands_input (content);

CREATE INDEX invocations_by_instance ON invocations (instance_id, newest_first, command);
CREATE INDEX invocations_open ON invocations (instance_id, newest_first DESC, command) WHERE open = 1;
CREATE INDEX invocations_due ON invocations (next) WHERE next IS NOT NULL;
-- Those that did not succeed are few, and asked for.
CREATE INDEX invocations_failed ON invocations (status, newest_first, command, instance_id DESC)
    WHERE open = 0 AND status <> 'Success';

CREATE UNIQUE INDEX plugins_of ON plugins (command, instance_id, position);
