"""A renamed copy is found; honest solutions, and stubs, are not."""

import io
import re
import tokenize
from types import SimpleNamespace

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


def words(count, first=0):
    """A source of so many words, no twelve of which come twice."""
    assignments, rest = divmod(count - 1, 6)
    source = "\n".join([*(f"v{first + i} = {first + i}" for i in range(assignments)), *["pass"] * rest])
    assert len(similar.sequence(source)) == count
    return source


def test_a_run_is_twelve_words():
    assert [len(similar.runs([words(count)])) for count in (11, 12, 13, 71)] == [0, 1, 2, 60]


def test_names_count_by_their_order_and_not_what_is_said_about_a_function():
    assert similar.sequence("a = 1\nb = a") == similar.sequence("x = 1\ny = x") != similar.sequence("x = 1\ny = y")
    assert similar.sequence("np.exp(1)") != similar.sequence("np.log(1)") != similar.sequence("scipy.log(1)")
    for head in ("def f():", "class A:"):
        bare, described = f"{head}\n    x = 1", f'{head}\n    """About."""\n    x = 1'
        assert similar.sequence(described) == similar.sequence(bare)
        assert similar.sequence(f'{head}\n    x = 1\n    """Not about."""') != similar.sequence(bare)
    assert similar.sequence('"""About."""\nx = 1') == similar.sequence("x = 1")
    assert similar.sequence('x = 1\n"""Not about."""') != similar.sequence("x = 1")
    long = "a" * 38  # and a quotation mark before it: of a constant forty signs count
    assert similar.sequence(f"x = '{long}ab'") == similar.sequence(f"x = '{long}ac'")
    assert similar.sequence(f"x = '{long}b'") != similar.sequence(f"x = '{long}c'")


def found(**solutions):
    return similar.pairs(ASSIGNMENT, {student: [source] for student, source in solutions.items()})


def test_sixty_runs_are_enough():
    assert found(one=words(71), other=words(71)) == [("one", "other", 1.0, 60)]
    assert found(one=words(70), other=words(70)) == []
    assert found(one=words(71), other=words(70)) == []


def test_seven_tenths_of_the_smaller_one():
    """A beginning in common, then assignments in the one and bare numbers in the other: a hundred runs each."""

    def pair(common, more=0):
        tail = 111 - common
        start = words(common)
        one = start + "\n" + "\n".join([*(f"w{i} = {900 + i}" for i in range(tail // 6)), *["break"] * (tail % 6)])
        other = start + "\n" + "\n".join([*(f"{500 + i}" for i in range(tail // 3 + more)), *["break"] * (tail % 3)])
        assert len(similar.runs([one])) == 100
        return {"one": one, "other": other}

    assert found(**pair(81)) == [("one", "other", 0.7, 70)]
    assert found(**pair(81, more=20)) == [("one", "other", 0.7, 70)]
    assert found(**pair(80)) == []
    three = found(**pair(87), copy=pair(87)["one"])
    assert three == [("copy", "one", 1.0, 100), ("copy", "other", 0.76, 76), ("one", "other", 0.76, 76)]


def test_what_a_quarter_of_a_class_has_is_usual_in_classes_of_eight_and_more():
    def told(copies, size):
        class_ = {f"s{number:02d}": [words(80) if number < copies else ""] for number in range(size)}
        return len(similar.pairs(ASSIGNMENT, class_))

    assert (told(3, 8), told(4, 8)) == (3, 0)  # at least four
    assert (told(4, 7), told(7, 7)) == (6, 21)  # a small class has no usual way
    assert (told(4, 16), told(5, 16)) == (6, 0)


def test_pairs_of_one_share_stand_in_alphabetical_order():
    solutions = {"cem": [OTHER], "bo": [LONG], "ada": [LONG, OTHER]}
    assert [pair[:3] for pair in similar.pairs(ASSIGNMENT, solutions)] == [("ada", "bo", 1.0), ("ada", "cem", 1.0)]


def test_what_the_assignment_sets_up_is_nobodys():
    for kind, count in (("set-up", 0), ("check", 1)):
        given = SimpleNamespace(stubs={}, cells=[(kind, None, SimpleNamespace(source=LONG))])
        assert len(similar.pairs(given, {"ada": [LONG], "bo": [LONG]})) == count
