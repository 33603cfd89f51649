"""What the containers of the frameworks do where the user's script leaves a function out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clary.toolkit.formats import content_type as types
from clary.toolkit.formats.arrays import read_array, write_array
from clary.toolkit.formats.matrices import read_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clary.toolkit.serve.script import Framework


class ScikitLearn:
    """Arrays in, `model.predict`, arrays out."""

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Decode npy, npz, csv or json."""
        return read_array(body, content_type)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Predict with the estimator."""
        return model.predict(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Encode as npy, csv or json."""
        name = types.choose(accept, (types.JSON, types.CSV, types.NPY), types.JSON)
        return write_array(prediction, name), name


class XGBoost:
    """DMatrix in, `Booster.predict`, arrays out."""

    def __init__(self) -> None:
        import xgboost  # noqa: PLC0415  # only the XGBoost container needs it

        self._xgboost = xgboost

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Decode csv, libsvm or recordio-protobuf."""
        raw = body.encode() if isinstance(body, str) else body
        return self._xgboost.DMatrix(read_matrix(raw, content_type))

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Predict with a booster, or with the booster of a scikit-learn style model."""
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        return booster.predict(data, validate_features=False)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Encode as csv, json or npy."""
        name = types.choose(accept, (types.CSV, types.JSON, types.NPY), types.JSON)
        return write_array(prediction, name), name


class PyTorch:
    """Tensors in, the module called without gradients, arrays out."""

    def __init__(self) -> None:
        import torch  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  # only the PyTorch container needs it

        self._torch = torch
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Decode npy, npz, csv or json into a tensor of 32-bit floats."""
        return self._torch.as_tensor(read_array(body, content_type), dtype=self._torch.float32).to(self._device)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Call the module in evaluation mode."""
        with self._torch.no_grad():
            return model.to(self._device).eval()(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Encode as json, csv or npy."""
        name = types.choose(accept, (types.JSON, types.CSV, types.NPY), types.JSON)
        return write_array(prediction.cpu().numpy(), name), name


class HuggingFace:
    """`{"inputs": ..., "parameters": {...}}` in, the pipeline called with them, json out."""

    def input_fn(self, body: Any, content_type: str) -> Any:  # noqa: ARG002  # json alone is read
        """Decode json."""
        return json.loads(body)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Call the pipeline."""
        return model(data["inputs"], **data.get("parameters", {}))

    def output_fn(self, prediction: Any, accept: str) -> Any:  # noqa: ARG002  # json alone is written
        """Encode as json."""
        return json.dumps(prediction), types.JSON


FRAMEWORKS: Mapping[str, Callable[[], Framework]] = {
    "sklearn": ScikitLearn,
    "xgboost": XGBoost,
    "pytorch": PyTorch,
    "huggingface": HuggingFace,
    "tensorflow": ScikitLearn,
}
