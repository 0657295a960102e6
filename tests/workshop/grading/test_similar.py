"""A renamed copy is found; honest solutions, and stubs, are not."""

import io
import re
import tokenize

from corpus import ASSIGNMENT, RIGHT

from workshop.grading import similar

LONG = '''
def backward(W, b, x, y):
    """Gradients of a tanh network."""
    a = [x]
    for W_l, b_l in zip(W, b):
        a.append(np.tanh(a[-1] @ W_l.T + b_l))
    delta = [(a[-1] - y) * (1 - a[-1] ** 2)]
    for W_l, a_l in zip(W[:0:-1], a[-2:0:-1]):
        delta.insert(0, (delta[0] @ W_l) * (1 - a_l**2))
    dW = [d.T @ below / len(x) for d, below in zip(delta, a)]
    db = [d.mean(axis=0) for d in delta]
    return delta, dW, db
'''

OTHER = """
def backward(W, b, x, y):
    L, n = len(W), len(x)
    delta = [np.zeros((n, len(W[l]))) for l in range(L)]
    dW, db = [np.zeros_like(W[l]) for l in range(L)], [np.zeros_like(b[l]) for l in range(L)]
    for i in range(n):
        a = [x[i]]
        for l in range(L):
            a.append(np.tanh(W[l] @ a[l] + b[l]))
        for l in reversed(range(L)):
            arriving = a[L] - y[i] if l == L - 1 else W[l + 1].T @ delta[l + 1][i]
            delta[l][i] = np.diag(1 - a[l + 1] ** 2) @ arriving
            dW[l] += np.outer(delta[l][i], a[l]) / n
            db[l] += delta[l][i] / n
    return delta, dW, db
"""


def renamed(source):
    """Return a copy with other names, without comments, with blank lines."""
    names = {
        "a": "acts",
        "delta": "errors",
        "W_l": "weights",
        "b_l": "shift",
        "a_l": "act",
        "dW": "gW",
        "db": "gb",
        "d": "e",
    }
    out = re.sub(r"\b(" + "|".join(names) + r")\b", lambda found: names[found[0]], source)
    out = out.replace('"""Gradients of a tanh network."""', "# mine").replace("\n    for", "\n\n    for")
    list(tokenize.generate_tokens(io.StringIO(out).readline))
    return out


def test_a_renamed_copy_is_found_and_an_honest_solution_is_not():
    found = similar.pairs(ASSIGNMENT, {"one": [LONG], "copy": [renamed(LONG)], "other": [OTHER]})
    assert [(a, b) for a, b, *_ in found] == [("copy", "one")]
    assert found[0][2] > 0.9


def test_stubs_and_short_answers_do_not_count():
    stubs = list(ASSIGNMENT.stubs.values())
    assert similar.pairs(ASSIGNMENT, {"one": stubs, "other": stubs}) == []
    assert similar.pairs(ASSIGNMENT, {"one": RIGHT.values(), "other": [RIGHT["centre"]]}) == []


def test_what_half_a_class_writes_is_the_natural_way_to_write_it():
    class_ = {f"s{number}": [LONG] for number in range(8)}
    assert similar.pairs(ASSIGNMENT, class_) == []


def test_sources_that_are_no_python_have_no_runs():
    assert similar.runs(["def (", "", "%magic", "x" + "+x" * 5000]) == similar.runs(["x" + "+x" * 5000])
