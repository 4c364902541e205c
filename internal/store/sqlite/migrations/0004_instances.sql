-- EC2 instances apart from their agents, and what activations and instances
-- have besides.

ALTER TABLE instances ADD COLUMN default_name TEXT NOT NULL DEFAULT '';
ALTER TABLE activations ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'; -- JSON

CREATE INDEX instances_by_agent ON instances (account, region, agent_name, agent_version);
CREATE UNIQUE INDEX activations_by_scope ON activations (account, region, id);
CREATE INDEX activations_by_place ON activations (account, region, instance_id);
CREATE INDEX activations_by_instance ON activations (instance_id, id) WHERE instance_id <> '';

CREATE TABLE ec2_instances (
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    id      TEXT NOT NULL PRIMARY KEY, -- of all scopes, as those of instances
    state   TEXT NOT NULL,
    detail  TEXT NOT NULL -- JSON
) STRICT;

CREATE UNIQUE INDEX ec2_instances_by_scope ON ec2_instances (account, region, id);
