"""Topics of a text collection that is larger than memory: hashed TF-IDF, truncated SVD.

Three passes over a file with one text a line: in how many texts each word occurs, the
products of all pairs of columns, and the coordinates of each text along the topics.
"""

import io
from itertools import islice

import lowmem

TEXTS = 500  # Of a step. Not a setting: sums are taken by it, and round by it.


@lowmem.job(
    unit="texts",
    uses_device=False,
    options=[
        lowmem.Option(name="texts", kind="path", help="A file with one text a line."),
        lowmem.Option(name="features", kind="int", default=1024, help="Hashed words."),
        lowmem.Option(name="topics", kind="int", default=16, help="Topics to keep."),
    ],
)
def topics(ctx):
    """Topics of texts, and where each text lies among them."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.preprocessing import normalize

    n_features = ctx.options["features"]
    hashing = HashingVectorizer(n_features=n_features, alternate_sign=False, norm=None)
    at = {"step": 0, "place": 0, "n": 0, **ctx.state}
    seen = ctx.arrays["seen"] if ctx.state else np.zeros(n_features)
    products = ctx.arrays["products"] if ctx.state else np.zeros(2 * (n_features,))

    def blocks(step):
        """Yield the counts of words of some texts, from the last commit on."""
        if at["step"] > step:
            return
        if at["step"] < step:
            at.update(step=step, place=0)
        with open(ctx.options["texts"], "rb") as file:
            file.seek(at["place"])
            while lines := list(islice(file, TEXTS)):
                at["place"] = file.tell()
                yield hashing.transform(line.decode() for line in lines)

    def point(n_texts):
        arrays = {"seen": seen, "products": products}
        return lowmem.CommitPoint(items=n_texts, state=dict(at), arrays=arrays)

    def weighted(counts):
        """Return TF-IDF as scikit-learn has it: smooth, each text of length one."""
        weights = np.log((1 + at["n"]) / (1 + seen)) + 1
        return normalize(counts.multiply(weights).tocsr())

    for counts in blocks(0):
        seen = seen + counts.getnnz(axis=0)
        at["n"] += counts.shape[0]
        yield point(counts.shape[0])
    for counts in blocks(1):
        tfidf = weighted(counts)
        products = products + (tfidf.T @ tfidf).toarray()
        yield point(counts.shape[0])
    # Of a matrix X the right singular vectors are the eigenvectors of X'X.
    values, vectors = np.linalg.eigh(products)
    largest = np.argsort(values)[::-1][: ctx.options["topics"]]
    table = ctx.append("texts.npy")
    if at["step"] < 2:
        header = io.BytesIO()
        shape = (at["n"], len(largest))
        described = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        table.write(header.getvalue())
    for counts in blocks(2):
        table.write((weighted(counts) @ vectors[:, largest]).astype("<f4").tobytes())
        yield point(counts.shape[0])
    np.save(ctx.staging / "topics.npy", vectors[:, largest].T)
    np.save(ctx.staging / "strengths.npy", np.sqrt(values[largest]))
    return lowmem.Result(
        publish=["texts.npy", "topics.npy", "strengths.npy"], summary={"texts": at["n"]}
    )
