from __future__ import annotations

from typing import Any

import pytest
from botocore.model import ServiceModel
from tools.generate.stubs import stub

from clary.services.service import Service


class Things:
    def __init__(self, platform: object) -> None: ...

    def make_thing(self, ctx: Any, request: Any) -> Any: ...


SHAPES: dict[str, Any] = {
    "Text": {"type": "string"},
    "Time": {"type": "timestamp"},
    "Bytes": {"type": "blob"},
    "Colour": {"type": "string", "enum": ["red", "blue"]},
    "Texts": {"type": "list", "member": {"shape": "Text"}},
    "Tree": {"type": "structure", "members": {"Branches": {"shape": "Trees"}, "Colour": {"shape": "Colour"}}},
    "Trees": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Tree"}},
    "MakeThingRequest": {
        "type": "structure",
        "required": ["Name"],
        "payload": "Content",
        "members": {
            "Name": {"shape": "Text"},
            "Labels": {"shape": "Texts"},
            "Paint": {"shape": "Colour"},
            "After": {"shape": "Time"},
            "Content": {"shape": "Bytes", "streaming": True},
        },
    },
    "MakeThingResponse": {
        "type": "structure",
        "payload": "Content",
        "members": {
            "Made": {"shape": "Time"},
            "Tree": {"shape": "Tree"},
            "Paint": {"shape": "Colour"},
            "Content": {"shape": "Bytes"},
        },
    },
    "BreakThingRequest": {"type": "structure", "members": {"from": {"shape": "Text"}}},
}


@pytest.fixture
def text() -> str:
    operation = {"http": {"method": "POST", "requestUri": "/"}}
    description = {
        "metadata": {"protocol": "rest-json", "endpointPrefix": "things"},
        "operations": {
            "MakeThing": {
                "name": "MakeThing",
                "input": {"shape": "MakeThingRequest"},
                "output": {"shape": "MakeThingResponse"},
                **operation,
            },
            "BreakThing": {"name": "BreakThing", "input": {"shape": "BreakThingRequest"}, **operation},
        },
        "shapes": SHAPES,
    }
    return stub(ServiceModel(description, "things"), Service("things", Things))


def test_optional_members_are_marked_where_some_are_required(text: str) -> None:
    assert (
        "class MakeThingRequest(TypedDict):\n"
        "    Name: str\n"
        "    Labels: NotRequired[list[str]]\n"
        '    Paint: NotRequired[Literal["red", "blue"]]\n'
        "    After: NotRequired[datetime]\n"
        "    Content: NotRequired[Body]\n"
    ) in text


def test_answers_take_what_the_serializers_take(text: str) -> None:
    assert (
        "class MakeThingResponse(TypedDict, total=False):\n"
        "    Made: Timestamp\n"
        "    Tree: Tree\n"
        "    Paint: str\n"
        "    Content: StreamedBytes\n"
    ) in text


def test_structures_may_hold_themselves(text: str) -> None:
    assert "class Tree(TypedDict, total=False):\n    Branches: dict[str, Tree]\n    Colour: str\n" in text


def test_operations_without_a_handler_have_no_types(text: str) -> None:
    assert "BreakThing" not in text


def test_members_that_are_no_python_names_make_the_functional_form() -> None:
    operation = {
        "name": "MakeThing",
        "http": {"method": "POST", "requestUri": "/"},
        "input": {"shape": "BreakThingRequest"},
    }
    description = {
        "metadata": {"protocol": "rest-json", "endpointPrefix": "things"},
        "operations": {"MakeThing": operation},
        "shapes": SHAPES,
    }
    text = stub(ServiceModel(description, "things"), Service("things", Things))
    assert (
        'BreakThingRequest = TypedDict(\n    "BreakThingRequest",\n    {\n        "from": str,\n    }, total=False,\n)'
        in text
    )
