"""K-means: a stream of mini-batches to more centres than wanted, then Lloyd's iterations down to k.

Source of the method: AWS page "How K-Means Clustering Works".
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans as Lloyd
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from clary.algorithms import artefact
from clary.algorithms.channels import Reading, read_channel
from clary.algorithms.errors import ClientError
from clary.algorithms.first_party import Answer, answering, quality
from clary.algorithms.hyperparameters import AUTO, FRACTION, NOT_NEGATIVE, POSITIVE, Hyperparameter, boolean, integer
from clary.toolkit.formats import content_type as types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from clary.toolkit.job import Job
    from clary.toolkit.serve.message import Request, Response

Array = NDArray[Any]
READING = Reading(types.RECORDIO, (types.RECORDIO, types.CSV), labelled=False)
MOST_EXTRA_CENTRES = 10
INITS: Mapping[str, str] = {"random": "random", "kmeans++": "k-means++"}


def _metrics(text: str) -> list[str]:
    parts = json.loads(text)
    if not isinstance(parts, list):
        raise ValueError(text)  # noqa: TRY004  # the text is at fault, not a type in this program
    return parts


class KMeans:
    """K-means clustering."""

    hyperparameters = (
        Hyperparameter("feature_dim", integer, required=True, within=POSITIVE),
        Hyperparameter("k", integer, required=True, within=POSITIVE),
        Hyperparameter("epochs", integer, default=1, within=POSITIVE),
        Hyperparameter("eval_metrics", _metrics, default=["msd"], choices=("msd", "ssd")),
        # The SageMaker SDK always sends it; the data are dense here anyway.
        Hyperparameter("force_dense", boolean, default=False),
        Hyperparameter("extra_center_factor", integer, default=AUTO, within=POSITIVE, auto=True),
        Hyperparameter("half_life_time_size", integer, default=0, within=NOT_NEGATIVE),
        Hyperparameter("init_method", str, default="random", choices=tuple(INITS)),
        Hyperparameter("local_lloyd_init_method", str, default="kmeans++", choices=tuple(INITS)),
        Hyperparameter("local_lloyd_max_iter", integer, default=300, within=POSITIVE),
        Hyperparameter("local_lloyd_num_trials", integer, default=AUTO, within=POSITIVE, auto=True),
        Hyperparameter("local_lloyd_tol", float, default=0.0001, within=FRACTION),
        Hyperparameter("mini_batch_size", integer, default=5000, within=POSITIVE),
    )

    def train(self, job: Job, values: Mapping[str, Any]) -> None:
        """Find `k` centres and write them as the artefact."""
        rows = _rows(job, "train", values)
        if rows is None:
            raise ClientError("Missing required channel: train")
        if len(rows) < values["k"]:
            raise ClientError(f"k is {values['k']}, but the train channel has only {len(rows)} examples.")
        centres = _reduce(*_stream(rows, values), values)
        for channel, data in (("train", rows), ("test", _rows(job, "test", values))):
            if data is not None:
                _report(channel, data, centres, values["eval_metrics"])
        artefact.save(job.layout.model, "kmeans", {"centres": centres})

    def load(self, model_dir: Path, _environ: Mapping[str, str]) -> Callable[[Request], Response]:
        """The centres behind AWS's request and reply formats."""
        centres = artefact.load(model_dir)["centres"]

        def predict(data: Array) -> Sequence[Answer]:
            squares, nearest = _nearest(data, centres)
            return [
                {"closest_cluster": float(cluster), "distance_to_cluster": float(square**0.5)}
                for cluster, square in zip(nearest, squares, strict=True)
            ]

        return answering(predict, centres.shape[1])


ALGORITHM = KMeans()


def _rows(job: Job, channel: str, values: Mapping[str, Any]) -> Array | None:
    data = read_channel(job, channel, READING)
    if data is None:
        return None
    rows: Array = data.features.toarray() if hasattr(data.features, "toarray") else data.features
    width = values["feature_dim"]
    if rows.shape[1] != width:
        raise ClientError(
            f"Hyperparameter feature_dim is {width}, but channel {channel!r} has {rows.shape[1]} features."
        )
    if np.isnan(rows).any():
        raise ClientError(f"Channel {channel!r} holds missing values, which k-means does not accept.")
    return rows


def _stream(rows: Array, values: Mapping[str, Any]) -> tuple[Array, Array]:
    """More centres than wanted, and how many examples each stands for."""
    factor = MOST_EXTRA_CENTRES if values["extra_center_factor"] == AUTO else values["extra_center_factor"]
    count = min(values["k"] * factor, len(rows))
    model = MiniBatchKMeans(
        count,
        init=INITS[values["init_method"]],
        batch_size=min(values["mini_batch_size"], len(rows)),
        max_iter=values["epochs"],
        max_no_improvement=None,
        n_init=1,
        random_state=0,
    )
    weights = _half_lives(len(rows), values["half_life_time_size"])
    assigned = model.fit(rows, sample_weight=weights).predict(rows)
    return model.cluster_centers_, np.bincount(assigned, weights, minlength=count)


def _half_lives(count: int, half_life: int) -> Array:
    """The weight of each example: it halves with every `half_life` examples that come after."""
    if not half_life:
        return np.ones(count)
    result: Array = np.maximum(0.5 ** (np.arange(count - 1, -1, -1) / half_life), 1e-12)
    return result


def _reduce(centres: Array, counts: Array, values: Mapping[str, Any]) -> Array:
    used = counts > 0
    trials = 3 if values["local_lloyd_num_trials"] == AUTO else values["local_lloyd_num_trials"]
    if used.sum() < values["k"]:
        return centres[: values["k"]]
    model = Lloyd(
        values["k"],
        init=INITS[values["local_lloyd_init_method"]],
        n_init=trials,
        max_iter=values["local_lloyd_max_iter"],
        tol=values["local_lloyd_tol"],
        random_state=0,
    )
    with warnings.catch_warnings():
        # Fewer distinct examples than centres are the data's matter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(centres[used], sample_weight=counts[used])
    result: Array = model.cluster_centers_.astype(np.float32)
    return result


def _nearest(rows: Array, centres: Array) -> tuple[Array, Array]:
    """The squared distance to the nearest centre, and its number."""
    squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ centres.T + (centres**2).sum(axis=1)
    nearest: Array = squares.argmin(axis=1)
    # The difference itself is exact where the expanded square loses digits.
    exact: Array = ((rows - centres[nearest]) ** 2).sum(axis=1)
    return exact, nearest


def _report(channel: str, rows: Array, centres: Array, wanted: Sequence[str]) -> None:
    squares = _nearest(rows, centres)[0].astype(np.float64)
    found = {"msd": squares.mean(), "ssd": squares.sum()}
    for name in wanted:
        quality(channel, name, float(found[name]))
