"""Estimators of scikit-learn go on without pickle, or are refused by what they hold."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import IncrementalPCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lowmem import Checkpoint
from lowmem.base.errors_loop import OtherStateError, UnkeptValueError
from lowmem.checkpoints import manifest as manifests

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(2)
X = RNG.normal(size=(120, 6))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


def back(folder, state, *given):
    with Checkpoint(folder) as checkpoint:
        checkpoint.commit(state)
        return checkpoint.restore(*given)


def told(value):
    """Return the attributes of an estimator, arrays as their bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.random.RandomState):
        return told(value.get_state(legacy=False)["state"])
    if hasattr(value, "get_params"):
        return told(vars(value))
    if isinstance(value, dict):
        made_anew = "_loss_function_"
        return {key: told(one) for key, one in value.items() if key != made_anew}
    return [told(one) for one in value] if isinstance(value, list | tuple) else value


def part(estimator, n):
    rows = slice(n * 20, n * 20 + 20)
    words = {"classes": [0, 1]} if hasattr(estimator, "predict_proba") else {}
    estimator.partial_fit(X[rows], Y[rows], **words)


STREAMING = {
    "k-means": lambda: MiniBatchKMeans(3, random_state=0, batch_size=8),
    "k-means of a generator": lambda: MiniBatchKMeans(
        3, random_state=np.random.RandomState(1)
    ),
    "principal components": lambda: IncrementalPCA(2),
    "scaler": StandardScaler,
    "bayes": GaussianNB,
    "gradient": lambda: SGDClassifier(loss="log_loss", random_state=0, average=True),
}


@pytest.mark.parametrize("name", STREAMING)
@pytest.mark.parametrize("is_given", [True, False])
def test_an_estimator_that_learns_in_parts_goes_on_with_the_same_bits(
    tmp_path, name, is_given
):
    unbroken, first = STREAMING[name](), STREAMING[name]()
    for n in range(6):
        part(unbroken, n)
    for n in range(3):
        part(first, n)
    given = STREAMING[name]()
    found = back(tmp_path, {"e": first}, *([{"e": given}] if is_given else []))["e"]
    assert (found is given) is is_given
    for n in range(3, 6):
        part(found, n)
    assert told(found) == told(unbroken)


def test_a_fitted_pipeline_predicts_the_same(tmp_path):
    def made():
        return make_pipeline(StandardScaler(), LinearRegression())

    fitted = made().fit(X, Y)
    given = made()
    found = back(tmp_path, [fitted], [given])[0]
    assert found is given
    assert found.predict(X).tobytes() == fitted.predict(X).tobytes()
    assert found.steps[0][1] is given.named_steps["standardscaler"]


@pytest.mark.parametrize(
    ("estimator", "place"),
    [
        (
            RandomForestClassifier(2),
            r"state\['m'\]\.estimators_\[0\]\.tree_ is a sklearn",
        ),
        (MLPClassifier(3, max_iter=2), r"state\['m'\]\._optimizer is a sklearn"),
    ],
    ids=["forest", "network"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_of_other_things_than_arrays_is_refused_by_their_name(
    tmp_path, estimator, place
):
    with pytest.raises(UnkeptValueError, match=place):
        back(tmp_path, {"m": estimator.fit(X, Y)})


def test_other_parameters_are_refused(tmp_path):
    with pytest.raises(
        OtherStateError, match=r"has n_components=3, expected n_comp.*=2"
    ):
        back(tmp_path, IncrementalPCA(2).fit(X), IncrementalPCA(3))


def test_another_version_of_scikit_learn_is_refused(tmp_path):
    with Checkpoint(tmp_path) as checkpoint:
        checkpoint.commit(StandardScaler().fit(X))
        path = tmp_path / "gen-00000000" / "manifest.json"
        found = manifests.manifest_from_bytes(path.read_bytes())
        tree = json.loads(json.dumps(found.state))
        tree["tree"]["version"] = "0.1"
        whole = msgspec.structs.replace(found, state=tree)
        path.write_bytes(manifests.bytes_from_manifest(whole))
        with pytest.raises(
            OtherStateError, match=r"committed with scikit-learn 0\.1, exp"
        ):
            checkpoint.restore()


def test_no_class_outside_scikit_learn_is_made_from_a_commit(tmp_path):
    class Own(StandardScaler):
        pass

    with pytest.raises(
        OtherStateError, match=r"expected such an object at state\['e'\]"
    ):
        back(tmp_path, {"e": Own().fit(X)})
    assert type(back(tmp_path / "2", {"e": Own().fit(X)}, {"e": Own()})["e"]) is Own
