"""A document's whole life, and what cannot be done with documents."""
import json
import os

import boto3
from botocore.exceptions import ClientError

ssm = boto3.client("ssm", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
agent, x = os.environ["AGENT"], ssm.exceptions
name = "Boto3-Greet"


def content(*lines):
    return json.dumps({
        "schemaVersion": "2.2", "description": "greets",
        "parameters": {"who": {"type": "String", "default": "world", "allowedPattern": "^[a-z]+$"}},
        "mainSteps": [{"action": "aws:runShellScript", "name": "greet", "inputs": {"runCommand": list(lines)}}],
    })


def fails(error, call, **arguments):
    try:
        call(**arguments)
    except error as e:
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__}({arguments}) did not fail")


made = ssm.create_document(Name=name, Content=content("echo hello {{ who }}"), DocumentType="Command", VersionName="first", Tags=[{"Key": "team", "Value": "ops"}])
assert made["DocumentDescription"]["DocumentVersion"] == "1" and made["DocumentDescription"]["HashType"] == "Sha256", made
fails(x.DocumentAlreadyExists, ssm.create_document, Name=name, Content=content("true"), DocumentType="Command")
fails(x.InvalidDocumentContent, ssm.create_document, Name="Boto3-Broken", Content="{", DocumentType="Command")
fails(x.InvalidDocumentSchemaVersion, ssm.create_document, Name="Boto3-Broken", Content=content("true").replace("2.2", "7.0"), DocumentType="Command")

two = content("echo hello {{ who }}", "echo again")
updated = ssm.update_document(Name=name, Content=two, DocumentVersion="$LATEST", VersionName="second")
assert updated["DocumentDescription"]["LatestVersion"] == "2" and updated["DocumentDescription"]["DefaultVersion"] == "1", updated
fails(x.DuplicateDocumentContent, ssm.update_document, Name=name, Content=two, DocumentVersion="2")
fails(x.DuplicateDocumentVersionName, ssm.update_document, Name=name, Content=content("echo three"), DocumentVersion="2", VersionName="first")
fails(x.InvalidDocumentVersion, ssm.update_document, Name=name, Content=content("echo three"), DocumentVersion="1")
assert ssm.update_document_default_version(Name=name, DocumentVersion="2")["Description"]["DefaultVersion"] == "2"
fails(x.InvalidDocumentVersion, ssm.update_document_default_version, Name=name, DocumentVersion="9")

got = ssm.get_document(Name=name, VersionName="first")
assert json.loads(got["Content"])["mainSteps"][0]["inputs"]["runCommand"] == ["echo hello {{ who }}"] and got["DocumentVersion"] == "1", got
described = ssm.describe_document(Name=name)["Document"]
assert described["Parameters"] == [{"Name": "who", "Type": "String", "DefaultValue": "world"}] and described["Tags"] == [{"Key": "team", "Value": "ops"}], described
versions = ssm.get_paginator("list_document_versions").paginate(Name=name, PaginationConfig={"PageSize": 1}).build_full_result()
assert [(v["DocumentVersion"], v["IsDefaultVersion"]) for v in versions["DocumentVersions"]] == [("2", True), ("1", False)], versions

sent = ssm.send_command(InstanceIds=[agent], DocumentName=name, DocumentVersion="$DEFAULT", Parameters={"who": ["moon"]}, DocumentHash=described["Hash"], DocumentHashType="Sha256")
command = sent["Command"]["CommandId"]
ssm.get_waiter("command_executed").wait(CommandId=command, InstanceId=agent, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
assert ssm.get_command_invocation(CommandId=command, InstanceId=agent)["StandardOutputContent"] == "hello moon\nagain\n"
fails(x.InvalidParameters, ssm.send_command, InstanceIds=[agent], DocumentName=name, Parameters={"who": ["MOON"]})

ssm.update_document_metadata(Name=name, DocumentVersion="2", DocumentReviews={"Action": "SendForReview"})
fails(x.InvalidDocumentOperation, ssm.update_document_metadata, Name=name, DocumentVersion="2", DocumentReviews={"Action": "SendForReview"})
history = ssm.list_document_metadata_history(Name=name, DocumentVersion="2", Metadata="DocumentReviews")
assert [r["ReviewStatus"] for r in history["Metadata"]["ReviewerResponse"]] == ["PENDING"], history

ssm.modify_document_permission(Name=name, PermissionType="Share", AccountIdsToAdd=["111122223333"])
shares = ssm.describe_document_permission(Name=name, PermissionType="Share")
assert shares["AccountIds"] == ["111122223333"], shares
fails(x.InvalidDocumentOperation, ssm.delete_document, Name=name)
ssm.modify_document_permission(Name=name, PermissionType="Share", AccountIdsToRemove=["111122223333"])

# 53 more, in pages.
for i in range(53):
    ssm.create_document(Name=f"Boto3-Many-{i:02}", Content=content("true"), DocumentType="Command")
mine = [{"Key": "Name", "Values": ["Boto3-Many-"]}]
pages = list(ssm.get_paginator("list_documents").paginate(Filters=mine, PaginationConfig={"PageSize": 50}))
names = [d["Name"] for p in pages for d in p["DocumentIdentifiers"]]
assert sorted(names) == [f"Boto3-Many-{i:02}" for i in range(53)] and [len(p["DocumentIdentifiers"]) for p in pages] == [50, 3], pages
fails(x.InvalidNextToken, ssm.list_documents, NextToken="x")
fails(x.InvalidFilterKey, ssm.list_documents, Filters=[{"Key": "Colour", "Values": ["red"]}])

ssm.delete_document(Name=name, DocumentVersion="1")
fails(x.InvalidDocumentVersion, ssm.describe_document, Name=name, DocumentVersion="1")
ssm.delete_document(Name=name)
for call in ssm.get_document, ssm.describe_document, ssm.delete_document:
    fails(x.InvalidDocument, call, Name=name)
fails(x.InvalidDocument, ssm.list_document_versions, Name=name)
fails(ClientError, ssm.create_document, Name="AWS-Mine", Content=content("true"))
