from __future__ import annotations

from typing import Any

import pytest

from tests.services.iam.conftest import ACCOUNT, refusal

URL = "https://idp.example/tenant"
METADATA = "<md:EntityDescriptor/>".ljust(1000)


def test_life_of_an_oidc_provider(iam: Any) -> None:
    made = iam.create_open_id_connect_provider(
        Url=URL, ClientIDList=["one"], ThumbprintList=["a" * 40], Tags=[{"Key": "a", "Value": "b"}]
    )
    arn = made["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example/tenant"
    assert made["Tags"] == [{"Key": "a", "Value": "b"}]
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": arn}]
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="two")
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="two")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="one")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (found["Url"], found["ClientIDList"]) == ("idp.example/tenant", ["two"])
    assert found["ThumbprintList"] == ["b" * 40]
    assert refusal(iam.create_open_id_connect_provider, Url=URL)[0] == "EntityAlreadyExists"
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert refusal(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn) == (
        "NoSuchEntity",
        f"OpenIDConnect Provider not found for arn {arn}",
    )


@pytest.mark.parametrize("url", ["http://idp.example", "idp.example", "ftp://idp.example", "https://idp.example/?a=b"])
def test_addresses_that_are_refused(iam: Any, url: str) -> None:
    refused = ("ValidationError", "Invalid Open ID Connect Provider URL")
    assert refusal(iam.create_open_id_connect_provider, Url=url) == refused


def test_quotas_of_a_provider(iam: Any) -> None:
    many = [str(number) for number in range(101)]
    assert refusal(iam.create_open_id_connect_provider, Url=URL, ClientIDList=many) == (
        "LimitExceeded",
        "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100",
    )
    prints = [f"{number:040}" for number in range(6)]
    assert refusal(iam.create_open_id_connect_provider, Url=URL, ThumbprintList=prints)[0] == "InvalidInput"


def test_life_of_a_saml_provider(iam: Any) -> None:
    arn = iam.create_saml_provider(Name="corp", SAMLMetadataDocument=METADATA)["SAMLProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:saml-provider/corp"
    assert iam.list_saml_providers()["SAMLProviderList"][0]["Arn"] == arn
    other = METADATA.replace("/>", "></md:EntityDescriptor>")
    iam.update_saml_provider(SAMLProviderArn=arn, SAMLMetadataDocument=other)
    assert iam.get_saml_provider(SAMLProviderArn=arn)["SAMLMetadataDocument"] == other
    assert refusal(iam.create_saml_provider, Name="x", SAMLMetadataDocument="x" * 1000)[0] == "InvalidInput"
    iam.delete_saml_provider(SAMLProviderArn=arn)
    assert refusal(iam.get_saml_provider, SAMLProviderArn=arn)[0] == "NoSuchEntity"
