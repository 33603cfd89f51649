"""Service-linked roles: they belong to a service, and nobody else may change them.

Source: "Create a service-linked role", IAM user guide; the names are as the test suite of LocalStack records them from
AWS (tests/aws/services/iam/test_iam.snapshot.json), and as AWS documents them for the services that are not there.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.identifiers import unique_id
from clary.services.iam import shapes
from clary.services.iam.directory import SERVICE_LINKED, Directory
from clary.services.iam.errors import EntityAlreadyExists, InvalidInput, NoSuchEntity
from clary.services.iam.trust import rename_principal
from clary.services.service import in_thread
from clary.store.records import Record

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

_DELETION = "role-deletion"
_NAMES = {
    "accountdiscovery.ssm": "AmazonSSM_AccountDiscovery",
    "acm": "CertificateManager",
    "appmesh": "AppMesh",
    "autoscaling": "AutoScaling",
    "autoscaling-plans": "AutoScalingPlans_EC2AutoScaling",
    "cassandra.application-autoscaling": "ApplicationAutoScaling_CassandraTable",
    "cks.kms": "KeyManagementServiceCustomKeyStores",
    "cloudtrail": "CloudTrail",
    "codestar-notifications": "CodeStarNotifications",
    "connect": "AmazonConnect",
    "dms": "DMSServerless",
    "dms-fleet-advisor": "DMSFleetAdvisor",
    "docdb-elastic": "DocDB-Elastic",
    "dynamodb.application-autoscaling": "ApplicationAutoScaling_DynamoDBTable",
    "ec2.application-autoscaling": "ApplicationAutoScaling_EC2SpotFleetRequest",
    "ec2fleet": "EC2Fleet",
    "ecr": "ECRTemplate",
    "ecs": "ECS",
    "ecs.application-autoscaling": "ApplicationAutoScaling_ECSService",
    "eks": "AmazonEKS",
    "eks-connector": "AmazonEKSConnector",
    "eks-fargate": "AmazonEKSForFargate",
    "eks-nodegroup": "AmazonEKSNodegroup",
    "elasticache": "ElastiCache",
    "elasticbeanstalk": "ElasticBeanstalk",
    "elasticfilesystem": "AmazonElasticFileSystem",
    "elasticloadbalancing": "ElasticLoadBalancing",
    "elasticmapreduce": "EMRCleanup",
    "email.cognito-idp": "AmazonCognitoIdpEmailService",
    "emr-containers": "AmazonEMRContainers",
    "emrwal": "EMRWAL",
    "es": "AmazonElasticsearchService",
    "fis": "FIS",
    "grafana": "AmazonGrafana",
    "guardduty": "AmazonGuardDuty",
    "imagebuilder": "ImageBuilder",
    "inspector2": "AmazonInspector2",
    "iotmanagedintegrations": "IoTManagedIntegrations",
    "kafkaconnect": "KafkaConnect",
    "lakeformation": "LakeFormationDataAccess",
    "lambda.application-autoscaling": "ApplicationAutoScaling_LambdaConcurrency",
    "lex": "LexBots",
    "lexv2": "LexV2Bots",
    "m2": "AWSM2",
    "macie": "AmazonMacie",
    "memorydb": "MemoryDB",
    "mq": "AmazonMQ",
    "mrk.kms": "KeyManagementServiceMultiRegionKeys",
    "notifications": "AwsUserNotifications",
    "observability.aoss": "AmazonOpenSearchServerless",
    "opensearchservice": "AmazonOpenSearchService",
    "ops.apigateway": "APIGateway",
    "ops.emr-serverless": "AmazonEMRServerless",
    "opsdatasync.ssm": "SystemsManagerOpsDataSync",
    "opsinsights.ssm": "AmazonSSM_OpsInsights",
    "pullthroughcache.ecr": "ECRPullThroughCache",
    "ram": "ResourceAccessManager",
    "rds": "RDS",
    "replication.cassandra": "KeyspacesReplication",
    "replication.ecr": "ECRReplication",
    "repository.sync.codeconnections": "GitSync",
    "resource-explorer-2": "ResourceExplorer",
    "rolesanywhere": "RolesAnywhere",
    "s3-outposts": "S3OnOutposts",
    "sagemaker": "AmazonSageMakerNotebooks",
    "sagemaker.application-autoscaling": "ApplicationAutoScaling_SageMakerEndpoint",
    "securityhub": "SecurityHub",
    "ses": "AmazonSES",
    "shield": "AWSShield",
    "spot": "EC2Spot",
    "spotfleet": "EC2SpotFleet",
    "ssm": "AmazonSSM",
    "ssm-incidents": "IncidentManager",
    "ssm-quicksetup": "SSMQuickSetup",
    "sso": "SSO",
    "trustedadvisor": "TrustedAdvisor",
    "vpcorigin.cloudfront": "CloudFrontVPCOrigin",
    "waf": "WAFLogging",
    "wafv2": "WAFV2Logging",
}
"""Services whose roles do not bear simply their own name."""
_SUFFIXED = frozenset(("autoscaling", "connect", "lexv2"))
"""Services that let the account choose the end of the name."""


class ServiceLinkedRoles:
    """Roles that services make for themselves."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def create_service_linked_role(self, ctx: Context, request: api.CreateServiceLinkedRoleRequest) -> Document:
        """The role of a service."""
        service = request["AWSServiceName"]
        prefix = service.removesuffix(".amazonaws.com")
        if prefix == service:
            raise InvalidInput(f"Service {service} is not a valid service principal.")
        suffix = request.get("CustomSuffix")
        if suffix and prefix not in _SUFFIXED:
            raise InvalidInput(f"Custom suffix is not allowed for {service}")
        name = f"AWSServiceRoleFor{_NAMES.get(prefix) or _named(prefix)}{f'_{suffix}' if suffix else ''}"
        spec: Document = {
            "RoleName": name,
            "Path": f"{SERVICE_LINKED}{service}/",
            "AssumeRolePolicyDocument": _trust(service),
            **({"Description": request["Description"]} if "Description" in request else {}),
        }
        try:
            role = self._directory.create(ctx, entities.ROLE, name, spec, {"RoleId": unique_id("AROA")})
        except EntityAlreadyExists as error:
            raise InvalidInput(
                f"Service role name {name} has been taken in this account, please try a different suffix."
            ) from error
        return {"Role": shapes.new_role(role)}

    @in_thread
    def delete_service_linked_role(self, ctx: Context, request: api.DeleteServiceLinkedRoleRequest) -> Document:
        """Begins to remove the role of a service; nothing here uses it, so that is done at once."""
        role = self._directory.find(ctx, entities.ROLE, request["RoleName"])
        if not role.spec["Path"].startswith(SERVICE_LINKED):
            raise NoSuchEntity(f"The role with name {role.name} is not a service linked role.")
        rename_principal(self._directory, ctx, role.arn, role.observed["RoleId"])
        self._directory.records.delete(role)
        task = f"task{role.spec['Path']}{role.name}/{uuid.uuid4()}"
        done = Record(_DELETION, ctx.account, "", task, "", {}, ctx.now, ctx.now, status="SUCCEEDED")
        self._directory.records.create(done)
        return {"DeletionTaskId": task}

    def get_service_linked_role_deletion_status(
        self, ctx: Context, request: api.GetServiceLinkedRoleDeletionStatusRequest
    ) -> Document:
        """How far a removal is."""
        task = self._directory.records.get(_DELETION, ctx.account, "", request["DeletionTaskId"])
        if task is None:
            raise NoSuchEntity(f"Deletion task {request['DeletionTaskId']} cannot be found.")
        return {"Status": task.status}


def _named(prefix: str) -> str:
    """A name for services that are not in the table: `config-multiaccountsetup` -> `ConfigMultiaccountsetup`."""
    return "".join(part[:1].upper() + part[1:] for part in prefix.replace(".", "-").split("-"))


def _trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
