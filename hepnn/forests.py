"""Forests: boosted trees as an ONNX model, which scores without scikit-learn and holds no code to run.

The file ends with the checksum of all before it, so that a flipped bit anywhere in it is noticed.

scikit-learn compares float64 thresholds with float32 values. Here a threshold is the greatest float32 not above it, so
every value goes the same way; only the sum over the trees is one of float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from scipy.special import expit, softmax

from hepnn.errors import TaggerError
from hepnn.guarded import parse_json, sha256

__all__ = ["forest_model", "probabilities_of", "verified"]

INPUT, OUTPUT = "observables", "raw"
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION = 8
"""Of the ONNX file, as released with opset 17."""
_CHECKSUM = "checksum"
"""Of the metadata, the last entry: SHA-256 of all bytes before it."""


def forest_model(trees: Any, *, metadata: Mapping[str, Any]) -> bytes:
    """Returns an ONNX model that takes observables, (jet, observable), and gives raw scores, (jet, class).

    There is one raw score, that of the second class, where there are two classes.

    Args:
        trees: a fitted `sklearn.ensemble.HistGradientBoostingClassifier`, without categories.
        metadata: kept in the model, by name; JSON can hold it.
    """
    baseline = np.ravel(trees._baseline_prediction)
    grown = [(position, tree.nodes) for step in trees._predictors for position, tree in enumerate(step)]
    nodes = np.concatenate([each for _, each in grown])
    sizes = [len(each) for _, each in grown]
    tree_ids, node_ids = np.repeat(np.arange(len(grown)), sizes), np.concatenate([np.arange(n) for n in sizes])
    targets = np.repeat([position for position, _ in grown], sizes)
    is_leaf = nodes["is_leaf"].astype(bool)
    thresholds = np.where(is_leaf, 0, nodes["num_threshold"])
    rounded = thresholds.astype(np.float32)
    rounded = np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=len(baseline),
        base_values=baseline.astype(np.float32).tolist(),
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_featureids=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64).tolist(),
        nodes_modes=np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_values=rounded.tolist(),
        nodes_truenodeids=nodes["left"].astype(np.int64).tolist(),
        nodes_falsenodeids=nodes["right"].astype(np.int64).tolist(),
        nodes_missing_value_tracks_true=nodes["missing_go_to_left"].astype(np.int64).tolist(),
        target_treeids=tree_ids[is_leaf].tolist(),
        target_nodeids=node_ids[is_leaf].tolist(),
        target_ids=targets[is_leaf].tolist(),
        target_weights=nodes["value"][is_leaf].astype(np.float32).tolist(),
    )
    graph = helper.make_graph(
        [node],
        "hepnn boosted trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, int(trees.n_features_in_)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, len(baseline)])],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, producer_name="hepnn", opset_imports=opsets, ir_version=_IR_VERSION)
    helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    content: bytes = model.SerializeToString()
    return content + _seal(content)


def verified(content: bytes, *, where: str) -> dict[str, Any]:
    """Returns the metadata of a model of `forest_model`.

    Raises:
        TaggerError: it is none, or damaged.
    """
    asked = f"asked for the boosted trees in {where}"
    seal_size = len(_seal(b""))
    if content[-seal_size:] != _seal(content[:-seal_size]):
        raise TaggerError(
            f"{asked}; they do not have their checksum: the file is damaged, was changed, or is none that "
            "BoostedTrees.save wrote. Restore it, or grow them again."
        )
    try:
        about = {each.key: parse_json(each.value) for each in onnx.load_from_string(content).metadata_props}
    except Exception as error:  # the parser of protobuf raises errors of its own
        raise TaggerError(
            f"{asked}; {type(error).__name__}: {str(error)[:200]}. They are what BoostedTrees.save wrote."
        ) from error
    del about[_CHECKSUM]
    return about


def probabilities_of(raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Returns the probability of each class, (jet, class), from raw scores."""
    if raw.shape[1] == 1:
        second = expit(raw[:, 0].astype(np.float64))
        return np.stack([1 - second, second], axis=1)
    return np.asarray(softmax(raw.astype(np.float64), axis=1))


def _seal(content: bytes) -> bytes:
    """One more entry of the metadata, which has the checksum of all before it: messages of protobuf can be joined."""
    model = onnx.ModelProto()
    model.metadata_props.add(key=_CHECKSUM, value=json.dumps(sha256(content)))
    joined: bytes = model.SerializeToString()
    return joined
