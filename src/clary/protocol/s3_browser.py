"""S3's two operations for browsers, which botocore has no model of.

Amazon S3 API Reference: POST Object; OPTIONS object.
"""

from __future__ import annotations

from typing import Any

POST_OBJECT = "PostObject"
"""An upload by a form; the fields of the form, the key among them, are in its body."""

OPTIONS_OBJECT = "OptionsObject"
"""The question whether a page from elsewhere may send a request."""


def add_operations(description: dict[str, Any]) -> None:
    """Adds both to the description of S3 that botocore loads."""
    shapes = description["shapes"]
    upload = shapes["PutObjectRequest"]
    text = "ETag"  # any shape of plain text
    shapes["PostObjectRequest"] = {
        **upload,
        "required": ["Bucket"],
        "members": {name: member for name, member in upload["members"].items() if name != "Key"},
    }
    shapes["PostObjectOutput"] = {
        "type": "structure",
        "members": {name: {"shape": text} for name in ("Location", "Bucket", "Key", "ETag")},
    }
    shapes["OptionsObjectRequest"] = {
        "type": "structure",
        "required": ["Bucket"],
        "members": {
            "Bucket": {"shape": "BucketName", "location": "uri", "locationName": "Bucket"},
            "Key": {"shape": "ObjectKey", "location": "uri", "locationName": "Key"},
            **{name: _header(text, name) for name in _QUESTIONS},
        },
    }
    shapes["OptionsObjectOutput"] = {
        "type": "structure",
        "members": {name: _header(text, name) for name in _ANSWERS},
    }
    for name, method in ((POST_OBJECT, "POST"), (OPTIONS_OBJECT, "OPTIONS")):
        description["operations"][name] = {
            "name": name,
            "http": {"method": method, "requestUri": "/{Bucket}"},
            "input": {"shape": f"{name}Request"},
            "output": {"shape": f"{name}Output"},
        }


_QUESTIONS = {
    "Origin": "Origin",
    "AccessControlRequestMethod": "Access-Control-Request-Method",
    "AccessControlRequestHeaders": "Access-Control-Request-Headers",
}
_ANSWERS = {
    "AllowOrigin": "Access-Control-Allow-Origin",
    "AllowMethods": "Access-Control-Allow-Methods",
    "AllowHeaders": "Access-Control-Allow-Headers",
    "ExposeHeaders": "Access-Control-Expose-Headers",
    "AllowCredentials": "Access-Control-Allow-Credentials",
    "MaxAge": "Access-Control-Max-Age",
    "Vary": "Vary",
}


def _header(shape: str, name: str) -> dict[str, str]:
    return {"shape": shape, "location": "header", "locationName": {**_QUESTIONS, **_ANSWERS}[name]}
