"""Topics of a text collection that is larger than memory: hashed TF-IDF, truncated SVD.

Three passes over a file with one text a line: in how many texts each word occurs, the
products of all pairs of columns, and the coordinates of each text along the topics.
"""

import io
from itertools import islice
from pathlib import Path

import lowmem

TEXTS = 500  # Of a step. Not a setting: sums are taken by it, and round by it.


@lowmem.job(
    unit="texts",
    uses_device=False,
    outputs=["texts.npy", "topics.npy", "strengths.npy"],
)
def topics(ctx, texts: Path, features: int = 1024, topics: int = 16):
    """Topics of texts, and where each text lies among them."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.preprocessing import normalize

    hashing = HashingVectorizer(n_features=features, alternate_sign=False, norm=None)
    seen, products = np.zeros(features), np.zeros((features, features))
    at = ctx.restore(step=0, place=0, n=0, seen=seen, products=products)

    def blocks(step):
        """Yield the counts of words of some texts, from the last commit on."""
        if at.step > step:
            return
        if at.step < step:
            at.step, at.place = step, 0
        with open(texts, "rb") as file:
            file.seek(at.place)
            while lines := list(islice(file, TEXTS)):
                at.place = file.tell()
                yield hashing.transform(line.decode() for line in lines)

    def weighted(counts):
        """Return TF-IDF as scikit-learn has it: smooth, each text of length one."""
        weights = np.log((1 + at.n) / (1 + at.seen)) + 1
        return normalize(counts.multiply(weights).tocsr())

    for counts in blocks(0):
        at.seen = at.seen + counts.getnnz(axis=0)
        at.n += counts.shape[0]
        yield ctx.commit(items=counts.shape[0], **vars(at))
    for counts in blocks(1):
        tfidf = weighted(counts)
        at.products = at.products + (tfidf.T @ tfidf).toarray()
        yield ctx.commit(items=counts.shape[0], **vars(at))
    # Of a matrix X the right singular vectors are the eigenvectors of X'X.
    values, vectors = np.linalg.eigh(at.products)
    largest = np.argsort(values)[::-1][:topics]
    table = ctx.append("texts.npy")
    if at.step < 2:
        header = io.BytesIO()
        shape = (at.n, len(largest))
        described = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        table.write(header.getvalue())
    for counts in blocks(2):
        table.write((weighted(counts) @ vectors[:, largest]).astype("<f4").tobytes())
        yield ctx.commit(items=counts.shape[0], **vars(at))
    np.save(ctx.staging / "topics.npy", vectors[:, largest].T)
    np.save(ctx.staging / "strengths.npy", np.sqrt(values[largest]))
    return lowmem.Result(summary={"texts": at.n})
