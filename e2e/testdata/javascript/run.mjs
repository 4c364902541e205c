// AWS's SDK for JavaScript against the service: commands, the waiter, paginators,
// the names of errors, documents, parameters and roles.
import assert from "node:assert/strict";
import {
  CreateDocumentCommand, DeleteDocumentCommand, DeleteParameterCommand, GetCommandInvocationCommand, GetConnectionStatusCommand, GetParameterCommand,
  InvalidInstanceId, ListCommandsCommand, paginateDescribeInstanceInformation, paginateListCommandInvocations, paginateListCommands,
  PutParameterCommand, SendCommandCommand, SSMClient, waitUntilCommandExecuted,
} from "@aws-sdk/client-ssm";
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

// No endpoint and no keys: the SDK finds both in the environment.
const client = new SSMClient({});
const { AGENT: agent, ACTIVATION: activation } = process.env;
const nodes = JSON.parse(process.env.NODES);
const waiting = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };

const send = async (instances, ...commands) => {
  const sent = await client.send(new SendCommandCommand({ DocumentName: "AWS-RunShellScript", InstanceIds: instances, Parameters: { commands } }));
  return sent.Command.CommandId;
};
const collect = async (pages, list) => {
  const sizes = [], rows = [];
  for await (const page of pages) {
    sizes.push(page[list].length);
    rows.push(...page[list]);
  }
  return { sizes, rows };
};

// A command, waited for.
let id = await send([agent], "echo from javascript", "echo oops >&2");
const done = await waitUntilCommandExecuted(waiting, { CommandId: id, InstanceId: agent });
assert.equal(done.state, "SUCCESS");
const got = await client.send(new GetCommandInvocationCommand({ CommandId: id, InstanceId: agent }));
assert.deepEqual([got.Status, got.ResponseCode, got.StandardOutputContent, got.StandardErrorContent], ["Success", 0, "from javascript\n", "oops\n"]);
const listed = await client.send(new ListCommandsCommand({ CommandId: id }));
assert.ok(listed.Commands[0].RequestedDateTime instanceof Date && Date.now() - listed.Commands[0].RequestedDateTime < 120e3);

// One that fails.
id = await send([agent], "exit 4");
await assert.rejects(waitUntilCommandExecuted(waiting, { CommandId: id, InstanceId: agent }), /"state":"FAILURE"/);

// Errors: their names, their classes, and what failed.
await assert.rejects(send(["i-0123456789abcdef0"], "true"), (e) => e instanceof InvalidInstanceId && e.name === "InvalidInstanceId" && e.$metadata.httpStatusCode === 400);
await assert.rejects(client.send(new GetCommandInvocationCommand({ CommandId: id, InstanceId: nodes[0] })), { name: "InvocationDoesNotExist" });
await assert.rejects(send([agent, agent], "true"), { name: "DuplicateInstanceId" });
await assert.rejects(client.send(new ListCommandsCommand({ MaxResults: 51 })), { name: "ValidationException", message: /^1 validation error detected/ });

// Paginators.
const sent = [];
for (let i = 0; i < 23; i++) sent.push(await send([nodes[0]], "true"));
const commands = await collect(paginateListCommands({ client, pageSize: 10 }, { InstanceId: nodes[0] }), "Commands");
assert.deepEqual(commands.sizes, [10, 10, 3]);
assert.deepEqual(commands.rows.map((c) => c.CommandId).sort(), sent.sort());
id = await send(nodes, "true");
await Promise.all(nodes.map((node) => waitUntilCommandExecuted(waiting, { CommandId: id, InstanceId: node })));
const invocations = await collect(paginateListCommandInvocations({ client, pageSize: 5 }, { CommandId: id }), "CommandInvocations");
assert.deepEqual(invocations.sizes, [5, 5, 2]);
assert.ok(invocations.rows.every((i) => i.Status === "Success"));
const found = await collect(paginateDescribeInstanceInformation({ client, pageSize: 5 }, { Filters: [{ Key: "ActivationIds", Values: [activation] }] }), "InstanceInformationList");
assert.deepEqual(found.rows.map((i) => i.InstanceId).sort(), nodes.sort());
assert.equal((await client.send(new GetConnectionStatusCommand({ Target: agent }))).Status, "connected");

// A document and a parameter.
const document = { schemaVersion: "2.2", mainSteps: [{ action: "aws:runShellScript", name: "greet", inputs: { runCommand: ["echo hello"] } }] };
const made = await client.send(new CreateDocumentCommand({ Name: "JavaScript-Greet", DocumentType: "Command", Content: JSON.stringify(document) }));
assert.equal(made.DocumentDescription.LatestVersion, "1");
await client.send(new DeleteDocumentCommand({ Name: "JavaScript-Greet" }));
await client.send(new PutParameterCommand({ Name: "/javascript/secret", Type: "SecureString", Value: "s3cret" }));
assert.equal((await client.send(new GetParameterCommand({ Name: "/javascript/secret", WithDecryption: true }))).Parameter.Value, "s3cret");
await client.send(new DeleteParameterCommand({ Name: "/javascript/secret" }));
await assert.rejects(client.send(new GetParameterCommand({ Name: "/javascript/secret" })), { name: "ParameterNotFound" });

// A role's session.
const sts = new STSClient({});
const { Credentials: keys } = await sts.send(new AssumeRoleCommand({ RoleArn: "arn:aws:iam::000000000000:role/Deploy", RoleSessionName: "javascript" }));
const role = new STSClient({ credentials: { accessKeyId: keys.AccessKeyId, secretAccessKey: keys.SecretAccessKey, sessionToken: keys.SessionToken } });
assert.match((await role.send(new GetCallerIdentityCommand({}))).Arn, /:assumed-role\/Deploy\/javascript$/);
