"""The constraints of the models: required, length, range, pattern and enum, with AWS's wording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clary.errors import ServiceError, ValidationException
from clary.protocol.errors import (
    InvalidArgument,
    InvalidParameterException,
    InvalidParameterValue,
    InvalidRequestException,
    InvalidStorageClass,
    MalformedXML,
    MissingParameter,
    ValidationError,
)
from clary.protocol.patterns import Patterns

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

Validate = Callable[[dict[str, Any]], None]


class Path(NamedTuple):
    """Where a value stands: the member's name behind the path of what holds it."""

    parent: Path | None
    name: str

    @property
    def text(self) -> str:
        """The path as messages write it: `tags.1.member.key`."""
        return self.name if self.parent is None else f"{self.parent.text}.{self.name}"


class Finding(NamedTuple):
    """A constraint that the value at `path` breaks; a missing member has no value."""

    path: Path
    value: Any
    constraint: str
    shape: Shape


class Constraint(NamedTuple):
    """What a value must satisfy, and how AWS says so."""

    holds: Callable[[Any], object]
    text: str


Check = Callable[[Any, Path | None, list[Finding]], None]
Refuse = Callable[[Sequence[Finding]], ServiceError]

PATTERN_LIMIT = 4096
"""Longer text than this, and than the model allows, is not matched against its pattern."""

NOT_NULL = "Member must not be null"


class Validators:
    """The validators of all operations, compiled when first needed."""

    def __init__(self) -> None:
        self._patterns = Patterns()
        self._compilers: dict[str, _Compiler] = {}
        self._validators: dict[OperationModel, Validate] = {}

    def validate(self, model: OperationModel, request: dict[str, Any]) -> None:
        """Checks one request.

        Raises:
            ServiceError: it breaks a constraint; code and message are those of the service.
        """
        validate = self._validators.get(model)
        if validate is None:
            validate = self._validators[model] = self.validator(model)
        validate(request)

    def validator(self, model: OperationModel) -> Validate:
        """Compiles the function that checks the requests of one operation."""
        if model.input_shape is None:
            return lambda _: None
        service = model.service_model.service_name
        compiler = self._compilers.get(service)
        if compiler is None:
            compiler = self._compilers[service] = _Compiler(self._patterns, _NAMES.get(service, _lower_camel))
        check = compiler.structure(model.input_shape)
        refuse = _REFUSALS.get(service, _refusal(ValidationException))

        def validate(request: dict[str, Any]) -> None:
            findings: list[Finding] = []
            try:
                check(request, None, findings)
            except RecursionError:
                raise ValidationException("The request is nested too deeply") from None
            if findings:
                raise refuse(findings)

        return validate


class _Compiler:
    """Compiles the checks of one service; `name` tells how messages call a member."""

    def __init__(self, patterns: Patterns, name: Callable[[str, Shape], str]) -> None:
        self._patterns = patterns
        self._name = name
        self._structures: dict[str, Check] = {}

    def structure(self, shape: Shape) -> Check:
        """The check of a structure, which may hold itself."""
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        names = {name: self._name(name, member) for name, member in shape.members.items()}
        required = [(name, names[name], shape.members[name]) for name in shape.required_members]
        members: dict[str, tuple[str, Check]] = {}

        def check(value: Any, path: Path | None, findings: list[Finding]) -> None:
            for name, said, member in required:
                if value.get(name) is None:
                    findings.append(Finding(Path(path, said), None, NOT_NULL, member))
            for name, item in value.items():
                found = members.get(name)
                if found is not None and item is not None:
                    found[1](item, Path(path, found[0]), findings)

        self._structures[shape.name] = check
        for name, member in shape.members.items():
            check_member = self._check(member)
            if check_member is not None:
                members[name] = (names[name], check_member)
        return check

    def _check(self, shape: Shape) -> Check | None:
        """The check of any shape; None when all its values are good."""
        match shape.type_name:
            case "structure":
                return None if shape.is_document_type else self.structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
        constraints = self._constraints(shape)
        return _check_value(shape, constraints) if constraints else None

    def _list(self, shape: Shape) -> Check | None:
        constraints = self._constraints(shape)
        if _is_nested(shape.member):
            check_item = self._check(shape.member)
            return _check_items(shape, constraints, check_item) if check_item or constraints else None
        inner = self._constraints(shape.member)
        if inner:
            constraints.append(Constraint(_holds_for_all(inner), f"Member must satisfy constraint: [{_texts(inner)}]"))
        return _check_value(shape, constraints) if constraints else None

    def _map(self, shape: Shape) -> Check | None:
        constraints = self._constraints(shape)
        keys = self._constraints(shape.key)
        if keys:
            constraints.append(Constraint(_holds_for_all(keys), f"Map keys must satisfy constraint: [{_texts(keys)}]"))
        if _is_nested(shape.value):
            check_item = self._check(shape.value)
            return _check_entries(shape, constraints, check_item) if check_item or constraints else None
        inner = self._constraints(shape.value)
        if inner:
            holds = _holds_for_all(inner)
            text = f"Map value must satisfy constraint: [{_texts(inner)}]"
            constraints.append(Constraint(lambda value: holds(value.values()), text))
        return _check_value(shape, constraints) if constraints else None

    def _constraints(self, shape: Shape) -> list[Constraint]:
        traits = shape.metadata
        if shape.type_name in {"list", "map", "string", "blob"}:
            found = _lengths(traits) if not shape.serialization.get("streaming") else []
        else:
            found = _ranges(traits)
        if "pattern" in traits:
            text = f"Member must satisfy regular expression pattern: {traits['pattern']}"
            found.append(Constraint(_bounded(self._patterns.matcher(traits["pattern"]), traits.get("max")), text))
        if shape.type_name == "string" and shape.enum and shape.name not in _OPEN_ENUMS:
            text = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
            found.append(Constraint(frozenset(shape.enum).__contains__, text))
        return found


def _bounded(matches: Callable[[str], object], most: float | None) -> Callable[[str], object]:
    # Some patterns take time squared; text that is far too long is refused for its length alone.
    if most is None:
        return matches
    limit = max(most, PATTERN_LIMIT)
    return lambda value: len(value) > limit or matches(value)


def _lengths(traits: Mapping[str, Any]) -> list[Constraint]:
    found = []
    if "max" in traits:
        most = int(traits["max"])
        found.append(
            Constraint(lambda value: len(value) <= most, f"Member must have length less than or equal to {most}")
        )
    if traits.get("min"):
        least = int(traits["min"])
        text = f"Member must have length greater than or equal to {least}"
        found.append(Constraint(lambda value: len(value) >= least, text))
    return found


def _ranges(traits: Mapping[str, Any]) -> list[Constraint]:
    found = []
    if "max" in traits:
        most = traits["max"]
        found.append(Constraint(lambda value: value <= most, f"Member must have value less than or equal to {most}"))
    if "min" in traits:
        least = traits["min"]
        text = f"Member must have value greater than or equal to {least}"
        found.append(Constraint(lambda value: value >= least, text))
    return found


def _is_nested(shape: Shape) -> bool:
    return shape.type_name in {"structure", "list", "map"}


def _holds_for_all(constraints: Sequence[Constraint]) -> Callable[[Any], bool]:
    return lambda values: all(constraint.holds(value) for value in values for constraint in constraints)


def _texts(constraints: Sequence[Constraint]) -> str:
    return ", ".join(constraint.text for constraint in constraints)


def _check_value(shape: Shape, constraints: Sequence[Constraint]) -> Check:
    def check(value: Any, path: Path | None, findings: list[Finding]) -> None:
        for holds, text in constraints:
            if not holds(value):
                findings.append(Finding(path or _ROOT, value, text, shape))

    return check


def _check_items(shape: Shape, constraints: Sequence[Constraint], check_item: Check | None) -> Check:
    check_whole = _check_value(shape, constraints)

    def check(value: Any, path: Path | None, findings: list[Finding]) -> None:
        check_whole(value, path, findings)
        if check_item is not None:
            for number, item in enumerate(value, 1):
                check_item(item, Path(Path(path, str(number)), "member"), findings)

    return check


def _check_entries(shape: Shape, constraints: Sequence[Constraint], check_item: Check | None) -> Check:
    check_whole = _check_value(shape, constraints)

    def check(value: Any, path: Path | None, findings: list[Finding]) -> None:
        check_whole(value, path, findings)
        if check_item is not None:
            for key, item in value.items():
                check_item(item, Path(Path(path, key), "member"), findings)

    return check


def _refusal(error: type[ServiceError]) -> Refuse:
    def refuse(findings: Sequence[Finding]) -> ServiceError:
        count = f"{len(findings)} validation error{'s' if len(findings) > 1 else ''} detected: "
        return error(count + "; ".join(map(_sentence, findings)))

    return refuse


def _sentence(finding: Finding) -> str:
    return f"Value {_said(finding)}at '{finding.path.text}' failed to satisfy constraint: {finding.constraint}"


def _said(finding: Finding) -> str:
    if finding.shape.metadata.get("sensitive"):
        return ""
    return "null " if finding.value is None else f"'{_java(finding.value)}' "


def _java(value: Any) -> str:
    """A value as Java prints it, which is how AWS quotes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_java, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


_S3_TEXTS: Mapping[str, str] = {
    "encoding-type": "Invalid Encoding Method specified in Request",
    "x-amz-metadata-directive": "Unknown metadata directive.",
    "x-amz-object-attributes": "Invalid attribute name specified.",
    "x-amz-tagging-directive": "Unknown tagging directive.",
}
"""What S3 says of some values that it does not know."""


def _refuse_s3(findings: Sequence[Finding]) -> ServiceError:
    first = findings[0]
    if first.path.parent is not None:
        return MalformedXML()
    name = first.shape.serialization.get("name", first.path.name)
    if "location" not in first.shape.serialization:
        return MalformedXML()
    if first.constraint == NOT_NULL:
        return InvalidArgument(f"Missing required parameter: {name}", ArgumentName=name)
    if name == "x-amz-storage-class":
        return InvalidStorageClass("The storage class you specified is not valid", StorageClassRequested=first.value)
    text = _S3_TEXTS.get(name, f"Invalid value for {name}")
    return InvalidArgument(text, ArgumentName=name, ArgumentValue=_java(first.value))


def _refuse_ec2(findings: Sequence[Finding]) -> ServiceError:
    first = findings[0]
    if first.constraint == NOT_NULL:
        return MissingParameter(f"The request must contain the parameter {first.path.text}")
    return InvalidParameterValue(
        f"Value ({_java(first.value)}) for parameter {first.path.text} is invalid. {first.constraint}"
    )


def _lower_camel(name: str, _: Shape) -> str:
    return name[:1].lower() + name[1:]


def _as_modelled(name: str, _: Shape) -> str:
    return name


_ROOT = Path(None, "")

_OPEN_ENUMS = frozenset({"BucketCannedACL", "BucketLocationConstraint", "ChecksumMode", "Event", "FilterRuleName"})
"""Regions grow with AWS, while any name is good here; the C++ SDK, and Arrow with it, spells the mode in lower case;
`log-delivery-write` is not in the model; S3 refuses events and filters of notifications in words of its own."""

_NAMES: Mapping[str, Callable[[str, Shape], str]] = {"s3": _as_modelled, "ec2": _as_modelled}

_REFUSALS: Mapping[str, Refuse] = {
    "s3": _refuse_s3,
    "ec2": _refuse_ec2,
    "iam": _refusal(ValidationError),
    "sts": _refusal(ValidationError),
    "cloudwatch": _refusal(ValidationError),
    "sagemaker-runtime": _refusal(ValidationError),
    "sagemaker-featurestore-runtime": _refusal(ValidationError),
    "logs": _refusal(InvalidParameterException),
    "ecr": _refusal(InvalidParameterException),
    "athena": _refusal(InvalidRequestException),
}
"""How services that do not say `ValidationException` refuse."""
