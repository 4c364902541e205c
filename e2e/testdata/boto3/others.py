"""Activations, tags, parameters and roles."""
import os

import boto3
from botocore.exceptions import ClientError

endpoint = os.environ["AWS_ENDPOINT_URL"]
ssm, sts = boto3.client("ssm", endpoint_url=endpoint), boto3.client("sts", endpoint_url=endpoint)
agent, x = os.environ["AGENT"], ssm.exceptions


def fails(error, call, **arguments):
    try:
        call(**arguments)
    except error as e:
        return e.response["Error"]["Code"]
    raise AssertionError(f"{call.__name__}({arguments}) did not fail")


# Activations.
made = [ssm.create_activation(IamRole="Paged", DefaultInstanceName="rack 9")["ActivationId"] for _ in range(7)]
of_role = [{"FilterKey": "IamRole", "FilterValues": ["Paged"]}]
pages = list(ssm.get_paginator("describe_activations").paginate(Filters=of_role, PaginationConfig={"PageSize": 3}))
assert sorted(a["ActivationId"] for p in pages for a in p["ActivationList"]) == sorted(made), pages
assert [len(p["ActivationList"]) for p in pages] == [3, 3, 1], pages
for activation in made:
    ssm.delete_activation(ActivationId=activation)
fails(x.InvalidActivationId, ssm.delete_activation, ActivationId=made[0])
fails(x.InvalidFilter, ssm.describe_activations, Filters=[{"FilterKey": "IamRole"}])
fails(x.InvalidNextToken, ssm.describe_activations, NextToken="x")
fails(x.InvalidParameters, ssm.create_activation, IamRole="Paged", ExpirationDate="2020-01-01T00:00:00Z")
fails(x.InvalidInstanceId, ssm.deregister_managed_instance, InstanceId="mi-0123456789abcdef0")
fails(x.InvalidInstanceId, ssm.update_managed_instance_role, InstanceId="mi-0123456789abcdef0", IamRole="Other")

# Tags.
node = {"ResourceType": "ManagedInstance", "ResourceId": agent}
ssm.add_tags_to_resource(Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "ü"}], **node)
ssm.remove_tags_from_resource(TagKeys=["a"], **node)
assert ssm.list_tags_for_resource(**node)["TagList"] == [{"Key": "b", "Value": "ü"}]
fails(x.TooManyTagsError, ssm.add_tags_to_resource, Tags=[{"Key": f"k{i}", "Value": "v"} for i in range(50)], **node)
fails(x.InvalidResourceId, ssm.list_tags_for_resource, ResourceType="ManagedInstance", ResourceId="mi-0123456789abcdef0")
fails(x.InvalidResourceType, ssm.list_tags_for_resource, ResourceType="OpsItem", ResourceId="oi-0123456789ab")

# Parameters.
for i in range(12):
    ssm.put_parameter(Name=f"/boto3/p{i:02}", Type="String", Value=str(i))
ssm.put_parameter(Name="/boto3/secret", Type="SecureString", Value="s3cret")
assert ssm.get_parameter(Name="/boto3/secret", WithDecryption=True)["Parameter"]["Value"] == "s3cret"
pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/boto3", PaginationConfig={"PageSize": 5}))
assert len({p["Name"] for page in pages for p in page["Parameters"]}) == 13, pages
pages = list(ssm.get_paginator("describe_parameters").paginate(ParameterFilters=[{"Key": "Path", "Values": ["/boto3"]}], PaginationConfig={"PageSize": 10}))
assert [len(p["Parameters"]) for p in pages] == [10, 3], pages
fails(x.ParameterNotFound, ssm.get_parameter, Name="/boto3/none")
fails(x.ParameterVersionNotFound, ssm.get_parameter, Name="/boto3/p00:9")
fails(x.ParameterAlreadyExists, ssm.put_parameter, Name="/boto3/p00", Type="String", Value="again")
fails(x.ParameterPatternMismatchException, ssm.put_parameter, Name="/boto3/pattern", Type="String", Value="x", AllowedPattern="^[0-9]+$")
fails(x.InvalidAllowedPatternException, ssm.put_parameter, Name="/boto3/pattern", Type="String", Value="x", AllowedPattern="(")
fails(x.InvalidNextToken, ssm.describe_parameters, NextToken="x")
fails(x.ParameterNotFound, ssm.delete_parameter, Name="/boto3/none")
assert ssm.delete_parameters(Names=["/boto3/p00", "/boto3/none"]) ["InvalidParameters"] == ["/boto3/none"]

# A role's session, and EC2 as it.
keys = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/Deploy", RoleSessionName="boto3")["Credentials"]
session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
assert session.client("sts", endpoint_url=endpoint).get_caller_identity()["Arn"].endswith(":assumed-role/Deploy/boto3")
ec2 = session.client("ec2", endpoint_url=endpoint)
found = ec2.get_paginator("describe_instances").paginate(Filters=[{"Name": "instance-id", "Values": ["i-0000000*"]}], PaginationConfig={"PageSize": 5}).build_full_result()
assert len(found["Reservations"]) == 6, found
assert fails(ClientError, ec2.describe_instances, InstanceIds=["i-0000000a"]) == "InvalidInstanceID.NotFound"
