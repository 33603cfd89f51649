from __future__ import annotations

import json

from clary.services.s3.public import denials


def test_denials_keep_the_version_on_which_variables_depend() -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b/${aws:username}/*"}
    document = {"Version": "2012-10-17", "Statement": [deny, {**deny, "Effect": "Allow"}]}
    assert json.loads(denials(json.dumps(document))) == {"Version": "2012-10-17", "Statement": [deny]}
