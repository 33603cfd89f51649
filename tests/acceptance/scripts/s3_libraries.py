"""Data libraries that read and write S3 by themselves: s3fs, Arrow, Polars, DuckDB."""

import os
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import s3fs

BUCKET = f"s3-libraries-{uuid.uuid4().hex[:8]}"
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ROWS = 200_000
TABLE = pa.table({"id": range(ROWS), "group": [f"g{number % 7}" for number in range(ROWS)]})
SUM = ROWS * (ROWS - 1) // 2


def s3fs_works() -> None:
    files = s3fs.S3FileSystem()
    with files.open(f"{BUCKET}/notes/ü b+c.txt", "w") as file:
        file.write("one\ntwo\n")
    assert files.cat(f"{BUCKET}/notes/ü b+c.txt") == b"one\ntwo\n"
    blob = os.urandom(12 << 20)
    with files.open(f"{BUCKET}/large", "wb", block_size=5 << 20) as file:  # several parts
        file.write(blob)
    with files.open(f"{BUCKET}/large", "rb") as file:
        file.seek(7 << 20)
        assert file.read(1000) == blob[7 << 20 :][:1000]
    files.copy(f"{BUCKET}/large", f"{BUCKET}/copied")
    assert files.info(f"{BUCKET}/copied")["size"] == len(blob)
    files.mv(f"{BUCKET}/copied", f"{BUCKET}/moved")
    assert not files.exists(f"{BUCKET}/copied")
    assert sorted(files.find(BUCKET)) == sorted(f"{BUCKET}/{key}" for key in ("large", "moved", "notes/ü b+c.txt"))
    files.rm(f"{BUCKET}/notes", recursive=True)
    files.rm([f"{BUCKET}/large", f"{BUCKET}/moved"])
    assert files.ls(BUCKET, refresh=True) == []


def arrow_works() -> None:
    address = urlsplit(ENDPOINT)
    files = pyarrow.fs.S3FileSystem(endpoint_override=address.netloc, scheme=address.scheme, region="us-east-1")
    ds.write_dataset(TABLE, f"{BUCKET}/arrow", format="parquet", partitioning=["group"], filesystem=files)
    found = files.get_file_info(pyarrow.fs.FileSelector(f"{BUCKET}/arrow", recursive=True))
    assert sum(each.type == pyarrow.fs.FileType.File for each in found) == 7
    read = ds.dataset(f"{BUCKET}/arrow", format="parquet", partitioning=["group"], filesystem=files)
    assert read.count_rows() == ROWS
    pq.write_table(TABLE, f"{BUCKET}/table.parquet", filesystem=files, row_group_size=20_000)
    ids = pq.read_table(f"{BUCKET}/table.parquet", filesystem=files, columns=["id"])["id"]
    assert pc.sum(ids).as_py() == SUM
    files.delete_dir(f"{BUCKET}/arrow")


def polars_works() -> None:
    frame = polars.scan_parquet(f"s3://{BUCKET}/table.parquet", storage_options=_options())
    assert frame.filter(polars.col("group") == "g3").select(polars.len()).collect().item() == len(range(3, ROWS, 7))
    frame.head(100).sink_parquet(f"s3://{BUCKET}/polars/head.parquet", storage_options=_options())
    assert polars.scan_parquet(f"s3://{BUCKET}/polars/*.parquet", storage_options=_options()).collect().height == 100


def duckdb_works() -> None:
    connection = duckdb.connect()
    extension = next(Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension"))
    connection.load_extension(str(extension))
    keys = f"KEY_ID '{os.environ['AWS_ACCESS_KEY_ID']}', SECRET '{os.environ['AWS_SECRET_ACCESS_KEY']}'"
    place = f"ENDPOINT '{urlsplit(ENDPOINT).netloc}', URL_STYLE 'path', USE_SSL false, REGION 'us-east-1'"
    connection.execute(f"CREATE SECRET clary (TYPE s3, {keys}, {place})")
    total = connection.execute(f"SELECT sum(id) FROM 's3://{BUCKET}/table.parquet'").fetchone()
    assert total == (SUM,)
    connection.execute(f"COPY (SELECT range AS n FROM range(1000)) TO 's3://{BUCKET}/duckdb/n.csv' (HEADER)")
    assert connection.execute(f"SELECT count(*) FROM 's3://{BUCKET}/duckdb/*.csv'").fetchone() == (1000,)


def _options() -> dict[str, str]:
    return {
        "aws_endpoint_url": ENDPOINT,
        "aws_region": "us-east-1",
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_allow_http": "true",
    }


s3fs.S3FileSystem().mkdir(BUCKET)
for works in (s3fs_works, arrow_works, polars_works, duckdb_works):
    works()
    print(works.__name__)
print(Path(__file__).name, "done")
