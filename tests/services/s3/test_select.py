from __future__ import annotations

import bz2
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config

from clary.services.s3.select import MAX_PROCESSES
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Client

PEOPLE = b'name,age,city\nAda,36,London\nAlan,41,"Wilmslow, Cheshire"\nGrace,85,\n'
CSV: dict[str, Any] = {"CSV": {"FileHeaderInfo": "USE"}}
TEXT: dict[str, Any] = {"CSV": {}}


@pytest.fixture
def select(s3: Any, bucket: str) -> Any:
    """Asks about bytes; tells the records and the statistics."""

    def ask(
        body: bytes, expression: str, source: dict[str, Any] = CSV, target: dict[str, Any] = TEXT, **options: Any
    ) -> tuple[str, dict[str, int]]:
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        answer = s3.select_object_content(
            Bucket=bucket,
            Key="k",
            Expression=expression,
            ExpressionType="SQL",
            InputSerialization=source,
            OutputSerialization=target,
            **options,
        )
        events = list(answer["Payload"])
        assert list(events[-1]) == ["End"]
        records = b"".join(event["Records"]["Payload"] for event in events if "Records" in event)
        (stats,) = [event["Stats"]["Details"] for event in events if "Stats" in event]
        return records.decode(), stats

    return ask


@pytest.mark.parametrize(
    ("expression", "source", "expected"),
    [
        ("SELECT * FROM s3object s WHERE s.name = 'Ada'", CSV, "Ada,36,London\n"),
        ("SELECT s.city FROM S3Object s WHERE CAST(s.age AS INT) > 40", CSV, '"Wilmslow, Cheshire"\n\n'),
        ("SELECT COUNT(*) FROM S3Object[*] s", CSV, "3\n"),
        ("select avg(cast(age as int)) from s3object", CSV, "54.0\n"),
        ("SELECT s._1 FROM s3object s LIMIT 2", {"CSV": {"FileHeaderInfo": "IGNORE"}}, "Ada\nAlan\n"),
        ("SELECT s._2 FROM s3object s LIMIT 1", {"CSV": {"FileHeaderInfo": "NONE"}}, "age\n"),
        ("SELECT s.name FROM s3object s WHERE s.nothing IS NULL OR 1 = 1", CSV, None),
    ],
)
def test_csv(select: Any, expression: str, source: dict[str, Any], expected: str | None) -> None:
    if expected is None:
        with pytest.raises(Exception, match="EvaluatorBindingDoesNotExist"):
            select(PEOPLE, expression, source)
        return
    assert select(PEOPLE, expression, source)[0] == expected


def test_other_delimiters(select: Any) -> None:
    source = {"CSV": {"FileHeaderInfo": "NONE", "FieldDelimiter": ";", "QuoteCharacter": "'", "Comments": "#"}}
    target = {"CSV": {"FieldDelimiter": "|", "RecordDelimiter": "!", "QuoteFields": "ALWAYS", "QuoteCharacter": "*"}}
    assert select(b"# c\r\n1;'a;b'\r\n", "SELECT * FROM s3object", source, target)[0] == "*1*|*a;b*!"


@pytest.mark.parametrize(("compression", "pack"), [("GZIP", gzip.compress), ("BZIP2", bz2.compress)])
def test_compression(select: Any, compression: str, pack: Any) -> None:
    records, stats = select(pack(PEOPLE), "SELECT name FROM s3object", {**CSV, "CompressionType": compression})
    assert records == "Ada\nAlan\nGrace\n"
    assert (stats["BytesProcessed"], stats["BytesReturned"]) == (len(PEOPLE), len(records))


def test_json_lines(select: Any) -> None:
    lines = b'{"name": "Ada", "born": "1815-12-10T10:00:00Z", "tags": ["a"]}\n{"name": "Alan", "age": 41}\n'
    source = {"JSON": {"Type": "LINES"}}
    records, _ = select(lines, "SELECT s.name, s.born FROM S3Object s WHERE s.age IS NULL", source, {"JSON": {}})
    assert json.loads(records) == {"name": "Ada", "born": "1815-12-10T10:00:00Z"}


def test_json_documents(select: Any) -> None:
    document = json.dumps({"rules": [{"id": 1}, {"id": 2}], "expr": "y < x"}).encode()
    source = {"JSON": {"Type": "DOCUMENT"}}
    assert select(document, "SELECT id FROM S3Object[*].rules[*]", source)[0] == "1\n2\n"
    assert select(document, "SELECT s.expr FROM S3Object s", source)[0] == "y < x\n"


def test_parquet(select: Any) -> None:
    table = pa.table({"name": ["Ada", "Alan"], "age": [36, 41]})
    file = io.BytesIO()
    pq.write_table(table, file)
    assert select(file.getvalue(), "SELECT name FROM s3object WHERE age > 40", {"Parquet": {}})[0] == "Alan\n"


def test_many_records(select: Any) -> None:
    body = b"\n".join(b"%d,x" % number for number in range(200_000))
    source = {"CSV": {"FileHeaderInfo": "NONE"}}
    records, stats = select(body, "SELECT _1 FROM s3object", source, RequestProgress={"Enabled": True})
    assert records.splitlines() == [str(number) for number in range(200_000)]
    assert stats["BytesScanned"] == len(body)


@pytest.mark.parametrize(
    "expression",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
        "COPY s3object TO '{folder}/out.csv'",
        "CREATE TABLE t AS SELECT 1",
        "ATTACH '{folder}/x.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT 1 FROM s3object; SELECT 2 FROM s3object",
        "SELECT * FROM s3object WHERE",
    ],
)
def test_hostile_expressions_reach_nothing(select: Any, s3: Any, tmp_path: Path, expression: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("the,secret\n1,2\n")
    with pytest.raises(s3.exceptions.ClientError) as caught:
        select(PEOPLE, expression.format(file=secret, folder=tmp_path))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert [each.name for each in tmp_path.iterdir()] == ["secret.csv"]


def test_no_more_at_a_time_than_the_machine_can_bear(client: Client, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=PEOPLE)
    impatient = client("s3", config=Config(retries={"total_max_attempts": 1}))
    asked: dict[str, Any] = {
        "Bucket": bucket,
        "Key": "k",
        "Expression": "SELECT repeat('x', 1000) FROM s3object, range(100000)",
        "ExpressionType": "SQL",
        "InputSerialization": CSV,
        "OutputSerialization": TEXT,
    }
    unread = [impatient.select_object_content(**asked)["Payload"] for _ in range(MAX_PROCESSES)]
    refused = error_of(impatient.select_object_content, **asked)
    assert (refused["Code"], refused["Status"]) == ("Busy", 503)
    for answer in unread:
        answer.close()
    # Whoever goes away leaves room for others, as soon as it is noticed.
    asked["Expression"] = "SELECT name FROM s3object"
    patient = client("s3", config=Config(retries={"total_max_attempts": 8, "mode": "standard"}))
    assert list(patient.select_object_content(**asked)["Payload"])


def test_what_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=PEOPLE)
    asked: dict[str, Any] = {
        "Bucket": bucket,
        "Key": "k",
        "Expression": "SELECT * FROM s3object",
        "ExpressionType": "SQL",
        "InputSerialization": CSV,
        "OutputSerialization": TEXT,
    }
    for change, code in (
        ({"ScanRange": {"Start": 0, "End": 10}}, "NotImplemented"),
        ({"InputSerialization": {}}, "InvalidDataSource"),
        ({"InputSerialization": {**CSV, "CompressionType": "GZIP"}}, "InvalidCompressionFormat"),
        ({"Key": "none"}, "NoSuchKey"),
    ):
        assert error_of(s3.select_object_content, **{**asked, **change})["Code"] == code
