"""Answers one S3 Select expression in a process of its own: what goes wrong here, or is meant to, ends here.

    python -I -m clary.select_worker FD

reads a task (JSON) from its standard input and the object from the file descriptor FD; writes the records to its
standard output. What it refuses it tells on its standard error, as `{"Code": ..., "Message": ...}`, with status 1.

DuckDB reads that one file and nothing else: no other files, no extensions, no settings that could be changed back. The
process can write no files, and gets a minute of processor time and a part of the memory.
"""

from __future__ import annotations

import csv
import json
import re
import resource
import signal
import sys
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import BinaryIO

    from duckdb import DuckDBPyConnection

CPU_S = 60
WALL_S = 600
"""A client may take the records slowly; one that is gone is not waited for longer."""
MEMORY = "1GB"
ADDRESS_SPACE_BYTES = 8 << 30
RECORD_BYTES = 1 << 20
"""The longest record of an input."""

_BATCH = 1000
_SETTINGS: Mapping[str, Any] = {
    "allow_community_extensions": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "max_memory": MEMORY,
    "max_temp_directory_size": "0KB",
    "preserve_insertion_order": True,
    "threads": 1,
}
_FROM = re.compile(r"\bFROM\s+(S3Object)((?:\[\*\]|\.\w+|\.\"[^\"]+\")*)", re.IGNORECASE)
_STEP = re.compile(r"\[\*\]|\.(?:\"([^\"]+)\"|(\w+))")
_IDENTIFIER = re.compile(r"\w+")

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (duckdb.ParserException, "ParseUnexpectedToken"),
    (duckdb.BinderException, "EvaluatorBindingDoesNotExist"),
    (duckdb.CatalogException, "UnsupportedFunction"),
    (duckdb.PermissionException, "UnsupportedFunction"),
    (duckdb.ConversionException, "CastFailed"),
    (duckdb.OutOfMemoryException, "InvalidRequest"),
)


class Refused(Exception):
    """The task cannot be done; the arguments are code and message."""


def main(descriptor: int) -> int:
    """Does the task; tells the exit status."""
    task = json.load(sys.stdin)
    try:
        expression, path = _plain(task["Expression"])
        _refuse_other_than_select(expression)
        with open(descriptor, "rb") as file:
            rows = _rows(file, task["Input"], path)
            _limit()
            _answer(_database(rows, task["Input"]), expression, task["Output"])
    except Refused as error:
        code, message = error.args
    except duckdb.Error as error:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), "InvalidRequest")
        message = str(error)
    except MemoryError:
        code, message = "InvalidRequest", f"The expression needs more memory than {MEMORY}."
    else:
        return 0
    json.dump({"Code": code, "Message": message}, sys.stderr)
    return 1


def _plain(expression: str) -> tuple[str, str]:
    """The expression without what stands behind `S3Object`, and that: the path to the records of a JSON document."""
    paths = [match[2] for match in _FROM.finditer(expression)]
    return _FROM.sub(r"FROM \1", expression), paths[0] if paths else ""


def _refuse_other_than_select(expression: str) -> None:
    statements = duckdb.extract_statements(expression)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise Refused("UnsupportedSqlOperation", "Encountered an unsupported SQL operation: only SELECT is supported.")


def _limit() -> None:
    signal.alarm(WALL_S)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))


def _rows(file: BinaryIO, asked: Mapping[str, Any], path: str) -> BinaryIO:
    """The file whose records are asked about: the object, or the records that the path names in a document."""
    if asked["Format"] != "JSON" or asked.get("Type") != "DOCUMENT":
        return file
    rows = TemporaryFile()  # noqa: SIM115  # lives as long as the process
    for record in _walk(_documents(file.read().decode()), _steps(path)):
        rows.write(json.dumps(record if isinstance(record, dict) else {"_1": record}).encode() + b"\n")
    rows.flush()
    return rows


def _documents(text: str) -> Iterator[Any]:
    decoder, position = json.JSONDecoder(), 0
    while text[position:].lstrip():
        position += len(text[position:]) - len(text[position:].lstrip())
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError as error:
            raise Refused("JSONParsingError", f"Encountered an error parsing the JSON file: {error}") from error
        yield document


def _steps(path: str) -> list[str]:
    """The members that a path names, `[*]` for all elements; the first `[*]` stands for all documents."""
    steps = [match[1] or match[2] or "[*]" for match in _STEP.finditer(path)]
    return steps[1:] if steps[:1] == ["[*]"] else steps


def _walk(values: Iterable[Any], steps: list[str]) -> Iterator[Any]:
    for step in steps:
        values = list(_step(values, step))
    yield from values


def _step(values: Iterable[Any], step: str) -> Iterator[Any]:
    for value in values:
        if step == "[*]" and isinstance(value, list):
            yield from value
        elif isinstance(value, dict) and step in value:
            yield value[step]


def _database(file: BinaryIO, asked: Mapping[str, Any]) -> DuckDBPyConnection:
    """A database that holds the object as the view `s3object`, and can reach nothing else."""
    path = f"/dev/fd/{file.fileno()}"
    connection = duckdb.connect(":memory:", config=dict(_SETTINGS))
    for setting in (
        "SET python_enable_replacements = false",
        f"SET allowed_paths = ['{path}']",
        "SET enable_external_access = false",
    ):
        connection.execute(setting)
    connection.execute(f"CREATE VIEW s3object AS SELECT * FROM {_SOURCES[asked['Format']](file, path, asked)}")  # noqa: S608  # made of quoted parts
    connection.execute("SET lock_configuration = true")
    return connection


def _csv(file: BinaryIO, path: str, asked: Mapping[str, Any]) -> str:
    header = asked.get("FileHeaderInfo") or "NONE"
    delimiter, quote = asked.get("FieldDelimiter") or ",", asked.get("QuoteCharacter") or '"'
    first = _first_line(file, (asked.get("Comments") or "").encode())
    fields = next(csv.reader([first], delimiter=delimiter, quotechar=quote), [])
    names = _distinct(fields) if header == "USE" else [f"_{number}" for number in range(1, len(fields) + 1)]
    columns = ", ".join(f"{_quoted(name)}: 'VARCHAR'" for name in names)
    options = {
        "columns": f"{{{columns}}}",
        "auto_detect": "false",
        "header": "true" if header != "NONE" else "false",
        "delim": _quoted(delimiter),
        "quote": _quoted(quote),
        "escape": _quoted(asked.get("QuoteEscapeCharacter") or '"'),
        "comment": _quoted(asked.get("Comments") or ""),
        "force_not_null": f"[{', '.join(map(_quoted, names))}]",
        "max_line_size": str(RECORD_BYTES),
        "null_padding": "true",
        "strict_mode": "false",
    }
    return f"read_csv({_quoted(path)}, {', '.join(f'{name} = {value}' for name, value in options.items())})"


def _first_line(file: BinaryIO, comment: bytes) -> str:
    line = file.readline(RECORD_BYTES)
    while comment and line.startswith(comment):
        line = file.readline(RECORD_BYTES)
    file.seek(0)
    return line.decode("utf-8-sig", "replace")


def _json(_: BinaryIO, path: str, __: Mapping[str, Any]) -> str:
    # Text stays text: formats that nothing has keep dates and times from being found.
    never = _quoted("%Y never")
    return f"read_json({_quoted(path)}, format = 'newline_delimited', dateformat = {never}, timestampformat = {never})"


def _parquet(_: BinaryIO, path: str, __: Mapping[str, Any]) -> str:
    return f"read_parquet({_quoted(path)})"


_SOURCES = {"CSV": _csv, "JSON": _json, "Parquet": _parquet}


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, each of them once."""
    found: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        own = name if name and name.lower() not in found else f"_{number}"
        found[own.lower()] = own
    return list(found.values())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _answer(connection: DuckDBPyConnection, expression: str, asked: Mapping[str, Any]) -> None:
    result = connection.execute(expression)
    names = [
        column[0] if _IDENTIFIER.fullmatch(column[0]) else f"_{number}"
        for number, column in enumerate(result.description or [], 1)
    ]
    write = _csv_record if asked["Format"] == "CSV" else _json_record
    while rows := result.fetchmany(_BATCH):
        sys.stdout.buffer.write("".join(write(names, row, asked) for row in rows).encode())


def _csv_record(_: list[str], row: tuple[Any, ...], asked: Mapping[str, Any]) -> str:
    delimiter, quote = asked.get("FieldDelimiter") or ",", asked.get("QuoteCharacter") or '"'
    end, escape = asked.get("RecordDelimiter") or "\n", asked.get("QuoteEscapeCharacter") or '"'
    always = asked.get("QuoteFields") == "ALWAYS"
    fields = []
    for value in row:
        text = _text(value)
        if always or any(mark in text for mark in (delimiter, quote, end, "\n", "\r")):
            text = f"{quote}{text.replace(quote, escape + quote)}{quote}"
        fields.append(text)
    return delimiter.join(fields) + end


def _json_record(names: list[str], row: tuple[Any, ...], asked: Mapping[str, Any]) -> str:
    record = dict(zip(names, row, strict=True))
    return json.dumps(record, default=str, ensure_ascii=False) + (asked.get("RecordDelimiter") or "\n")


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
