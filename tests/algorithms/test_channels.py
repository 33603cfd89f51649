from __future__ import annotations

import json
import os
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from clary.algorithms.channels import Dataset, Reading, read_channel
from clary.algorithms.errors import ClientError
from clary.toolkit.job import Job
from clary.toolkit.layout import Layout
from tests.algorithms.data import csv, libsvm, recordio

if TYPE_CHECKING:
    from tests.toolkit.container import Container

ROWS = np.array([[1, 0, 2.5], [0, 3, 4]], np.float32)
LABELS = np.array([1, 0], np.float32)
ALL = ("text/csv", "text/libsvm", "application/x-parquet", "application/x-recordio-protobuf")


def read(container: Container, content_type: str, **options: bool) -> Dataset | None:
    container.configure({}, {"train": content_type})
    return read_channel(Job.read(Layout(container.root)), "train", Reading("text/csv", ALL, **options))


def parquet(container: Container) -> None:
    frame = pd.DataFrame(np.column_stack([LABELS, ROWS]), columns=list("yabc"))
    path = container.write("input/data/train/x.parquet", b"")
    frame.to_parquet(path)


@pytest.mark.parametrize("content_type", ALL)
def test_every_format_gives_the_same_examples(container: Container, content_type: str) -> None:
    if content_type.endswith("parquet"):
        parquet(container)
    else:
        contents: dict[str, str | bytes] = {
            "text/csv": csv(ROWS, LABELS),
            "text/libsvm": libsvm(ROWS, LABELS),
            "application/x-recordio-protobuf": recordio(ROWS, LABELS),
        }
        container.write("input/data/train/x", contents[content_type])
    data = read(container, content_type)
    assert data is not None
    features = data.features.toarray() if hasattr(data.features, "toarray") else data.features
    assert data.labels is not None
    np.testing.assert_array_equal(features, ROWS)
    np.testing.assert_array_equal(data.labels, LABELS)


def test_files_of_all_folders_are_joined(container: Container) -> None:
    container.write("input/data/train/a.csv", csv(ROWS, LABELS))
    container.write("input/data/train/deeper/b.csv", csv(ROWS, LABELS))
    container.write("input/data/train/_SUCCESS", "")
    data = read(container, "")
    assert data is not None
    assert len(data) == 4


def test_pipe_mode_reads_the_stream_of_the_first_epoch(container: Container) -> None:
    container.configure({}, {"train": "text/csv"})
    channels = {"train": {"ContentType": "text/csv", "TrainingInputMode": "Pipe"}}
    container.write("input/config/inputdataconfig.json", json.dumps(channels))
    (container.root / "input/data").mkdir()
    os.mkfifo(container.root / "input/data/train_0")
    writer = Thread(target=container.write, args=("input/data/train_0", csv(ROWS, LABELS)))
    writer.start()
    data = read_channel(Job.read(Layout(container.root)), "train", Reading("text/csv", ALL))
    writer.join()
    assert data is not None
    np.testing.assert_array_equal(data.features, ROWS)


def test_label_size_zero_means_no_label(container: Container) -> None:
    container.write("input/data/train/a.csv", csv(ROWS))
    data = read(container, "text/csv;label_size=0")
    assert data is not None
    assert data.labels is None
    assert data.features.shape == (2, 3)


def test_second_column_may_be_the_weight(container: Container) -> None:
    container.write("input/data/train/a.csv", csv(ROWS, LABELS))
    data = read(container, "text/csv", weighted=True)
    assert data is not None
    assert data.weights is not None
    assert data.weights.tolist() == [1, 0]
    assert data.features.shape == (2, 2)


def test_absent_channels_are_none(container: Container) -> None:
    container.configure({}, {})
    assert read_channel(Job.read(Layout(container.root)), "train", Reading("text/csv", ALL)) is None


@pytest.mark.parametrize(
    ("content_type", "content", "message"),
    [
        ("image/png", "x", "content type image/png is not supported"),
        ("text/csv", "label,a\n1,2\n", "could not be read as text/csv"),
        ("text/libsvm", "1 a:b\n", "could not be read as text/libsvm"),
        ("application/x-recordio-protobuf", "1,2", "could not be read as application/x-recordio-protobuf"),
        ("text/csv", "", "holds no data"),
    ],
)
def test_what_cannot_be_read_is_the_clients_error(
    container: Container, content_type: str, content: str, message: str
) -> None:
    container.write("input/data/train/x", content)
    with pytest.raises(ClientError, match=message):
        read(container, content_type)
