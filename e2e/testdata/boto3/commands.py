"""Commands: the waiter, the paginators of commands and instances, errors."""
import json
import os

import boto3
from botocore.exceptions import ClientError, WaiterError

ssm = boto3.client("ssm", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
agent, activation, nodes = os.environ["AGENT"], os.environ["ACTIVATION"], json.loads(os.environ["NODES"])
waiter = ssm.get_waiter("command_executed")
soon = {"Delay": 1, "MaxAttempts": 60}


def send(instances, *lines, **more):
    sent = ssm.send_command(InstanceIds=instances, DocumentName="AWS-RunShellScript", Parameters={"commands": list(lines)}, **more)
    return sent["Command"]["CommandId"]


def fails(error, call, **arguments):
    """Asserts that a call fails with a typed exception, and gives its message."""
    try:
        call(**arguments)
    except error as e:
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__}({arguments}) did not fail")


# The waiter, for better and for worse.
command = send([agent], "echo from boto3", Comment="a comment")
waiter.wait(CommandId=command, InstanceId=agent, WaiterConfig=soon)
got = ssm.get_command_invocation(CommandId=command, InstanceId=agent, PluginName="aws:runShellScript")
assert (got["Status"], got["ResponseCode"], got["StandardOutputContent"], got["Comment"]) == ("Success", 0, "from boto3\n", "a comment"), got
listed = ssm.list_commands(CommandId=command)["Commands"][0]
assert listed["RequestedDateTime"].tzinfo is not None and listed["ExpiresAfter"] > listed["RequestedDateTime"], listed
command = send([agent], "exit 4")
try:
    waiter.wait(CommandId=command, InstanceId=agent, WaiterConfig=soon)
    raise AssertionError("a failed command was waited for without an error")
except WaiterError as e:
    assert e.last_response["Status"] == "Failed" and e.last_response["ResponseCode"] == 4, e.last_response

# Paginators: each row once, in pages of the size that was asked for.
sent = {send([nodes[0]], "true", Comment="many") for _ in range(23)}
pages = list(ssm.get_paginator("list_commands").paginate(InstanceId=nodes[0], PaginationConfig={"PageSize": 10}))
assert [len(p["Commands"]) for p in pages] == [10, 10, 3], [len(p["Commands"]) for p in pages]
assert {c["CommandId"] for p in pages for c in p["Commands"]} == sent
command = send(nodes, "true")
for node in nodes:
    waiter.wait(CommandId=command, InstanceId=node, WaiterConfig=soon)
result = ssm.get_paginator("list_command_invocations").paginate(CommandId=command, Details=True, PaginationConfig={"PageSize": 5}).build_full_result()
assert sorted(i["InstanceId"] for i in result["CommandInvocations"]) == sorted(nodes), result
assert all(i["CommandPlugins"][0]["Status"] == "Success" for i in result["CommandInvocations"]), result
filters = [{"Key": "ActivationIds", "Values": [activation]}]
pages = list(ssm.get_paginator("describe_instance_information").paginate(Filters=filters, PaginationConfig={"PageSize": 5}))
assert sorted(i["InstanceId"] for p in pages for i in p["InstanceInformationList"]) == sorted(nodes), pages
assert len(pages) == 3, pages

# Errors are the exceptions of the client.
x = ssm.exceptions
shell = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
fails(x.InvalidInstanceId, ssm.send_command, InstanceIds=["i-0123456789abcdef0"], **shell)
fails(x.DuplicateInstanceId, ssm.send_command, InstanceIds=[agent, agent], **shell)
fails(x.InvalidDocument, ssm.send_command, InstanceIds=[agent], DocumentName="No-Such")
fails(x.InvalidDocumentVersion, ssm.send_command, InstanceIds=[agent], DocumentVersion="9", **shell)
fails(x.InvalidParameters, ssm.send_command, InstanceIds=[agent], DocumentName="AWS-RunShellScript", Parameters={"colour": ["red"]})
fails(x.DuplicateInstanceId, ssm.cancel_command, CommandId=command, InstanceIds=[agent, agent])
fails(x.InvalidCommandId, ssm.cancel_command, CommandId="00000000-0000-4000-8000-000000000000")
fails(x.InvalidPluginName, ssm.get_command_invocation, CommandId=command, InstanceId=nodes[0], PluginName="aws:softwareInventory")
fails(x.InvocationDoesNotExist, ssm.get_command_invocation, CommandId=command, InstanceId=agent)
fails(x.InvalidNextToken, ssm.list_commands, NextToken="x")
fails(x.InvalidNextToken, ssm.list_command_invocations, NextToken="x")
fails(x.InvalidNextToken, ssm.describe_instance_information, NextToken="x")
fails(x.InvalidInstanceId, ssm.describe_instance_information, Filters=[{"Key": "InstanceIds", "Values": ["i-x"]}])
message = fails(ClientError, ssm.send_command, InstanceIds=[agent], TimeoutSeconds=31, Comment="x" * 101, **shell)
assert message.startswith("1 validation error detected"), message
