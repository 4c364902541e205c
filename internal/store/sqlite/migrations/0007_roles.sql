-- IAM roles, and the accounts that were ever served.

CREATE TABLE accounts (
    account TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    account TEXT NOT NULL,
    name    TEXT NOT NULL,
    detail  TEXT NOT NULL, -- JSON
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- What local agents registered with had another name.
UPDATE instances SET iam_role = 'AmazonEC2RunCommandRoleForManagedInstances' WHERE iam_role = 'ssmrun-local-agent';
UPDATE activations SET iam_role = 'AmazonEC2RunCommandRoleForManagedInstances' WHERE iam_role = 'ssmrun-local-agent';

-- Roles were names that nothing stood behind. Those in use become roles that
-- may do what their instances could do so far. The default role is made when the
-- service starts.
INSERT INTO roles (account, name, detail)
SELECT account, iam_role, json_object(
    'Path', '/',
    'ID', 'AROA' || upper(hex(randomblob(8))),
    'Description', 'made of a name that was in use before roles were kept',
    'Trust', '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
    'Services', json_array('ssm.amazonaws.com'),
    'Policies', json_array('arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore'),
    'MaxSession', 3600,
    'CreatedAt', CAST(strftime('%s', 'now') AS INTEGER) * 1000000)
FROM (
    SELECT account, iam_role FROM instances
    UNION SELECT account, iam_role FROM activations
)
WHERE iam_role <> '' AND iam_role <> 'AmazonEC2RunCommandRoleForManagedInstances';
