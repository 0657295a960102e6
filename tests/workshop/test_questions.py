"""The package of questions: what a learning platform would make of it, and every question of the book is in it.

The schema's own licence lets nobody hand it on who is not registered, so it is not here. Its content model for what is
used stands below; who has the schema sets QTI_SCHEMA to a folder of its files, laid out by their addresses
(`www.imsglobal.org/xsd/imsqti_v2p1.xsd`), and installs xmlschema: then everything is validated against it, too.
"""

import os
import re
import zipfile
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest

from workshop import questions
from workshop.__main__ import main
from workshop.book import BookError

TEXT = r"((b|br|code|em|i|strong|sub|sup) )*"
MODEL = {  # element: (its children, each followed by a space; the attributes it must have)
    "assessmentItem": (
        r"responseDeclaration (outcomeDeclaration )+itemBody responseProcessing (modalFeedback )+",
        "identifier title adaptive timeDependent",
    ),
    "responseDeclaration": ("correctResponse ", "identifier cardinality baseType"),
    "outcomeDeclaration": ("(defaultValue )?", "identifier cardinality baseType"),
    "correctResponse": ("value ", ""),
    "defaultValue": ("value ", ""),
    "value": ("", ""),
    "itemBody": ("choiceInteraction |(p )+", ""),
    "choiceInteraction": ("prompt (simpleChoice ){2,}", "responseIdentifier shuffle maxChoices"),
    "prompt": (TEXT, ""),
    "p": (rf"{TEXT}(textEntryInteraction )?{TEXT}", ""),
    "textEntryInteraction": ("", "responseIdentifier"),
    "simpleChoice": (TEXT, "identifier"),
    "responseProcessing": ("responseCondition (setOutcomeValue )?", ""),
    "responseCondition": ("responseIf (responseElse )?", ""),
    "responseIf": ("(match|and) (setOutcomeValue )+", ""),
    "responseElse": ("(setOutcomeValue )+", ""),
    "match": ("variable correct ", ""),
    "and": ("gte lte ", ""),
    "gte": ("variable baseValue ", ""),
    "lte": ("variable baseValue ", ""),
    "variable": ("", "identifier"),
    "correct": ("", "identifier"),
    "baseValue": ("", "baseType"),
    "setOutcomeValue": ("(baseValue|variable) ", "identifier"),
    "modalFeedback": (TEXT, "outcomeIdentifier identifier showHide"),
    "assessmentTest": ("testPart ", "identifier title"),
    "testPart": ("assessmentSection ", "identifier navigationMode submissionMode"),
    "assessmentSection": ("(assessmentItemRef )+", "identifier title visible"),
    "assessmentItemRef": ("", "identifier href"),
} | {name: (TEXT, "") for name in ("b", "br", "code", "em", "i", "strong", "sub", "sup")}


def name_of(element):
    return element.tag.rpartition("}")[2]


def faults(element):
    """Yield what the content model does not allow."""
    if element.tag.rpartition("}")[0] != "{" + questions.QTI or (name := name_of(element)) not in MODEL:
        yield f"no element of QTI's: {element.tag}"
        return
    children, attributes = MODEL[name]
    found = "".join(f"{name_of(child)} " for child in element)
    if not re.fullmatch(children, found):
        yield f"{name} holds {found or 'nothing'}"
    if missing := set(attributes.split()) - set(element.attrib):
        yield f"{name} lacks {', '.join(sorted(missing))}"
    for child in element:
        yield from faults(child)


def value(part, response, right):
    """Return what an expression of an item's processing means for a response."""
    kind, inside = name_of(part), [value(child, response, right) for child in part]
    if kind == "variable":
        return response
    if kind == "correct":
        return right
    if kind == "baseValue":
        return float(part.text) if part.get("baseType") == "float" else part.text
    rules = {"match": lambda a, b: a == b, "gte": lambda a, b: a >= b, "lte": lambda a, b: a <= b}
    return all(inside) if kind == "and" else rules[kind](*inside)


def processed(item, response):
    """Return (score, feedback shown) of a response, as a platform works them out."""
    outcome = {"SCORE": 0.0, "FEEDBACK": None}
    texts = {name_of(child): child for child in item}
    right = texts["responseDeclaration"][0][0].text

    def follow(rules):
        for rule in rules:
            if name_of(rule) == "setOutcomeValue":
                outcome[rule.get("identifier")] = value(rule[0], response, right)
            elif name_of(rule) == "responseCondition":
                holds = value(rule[0][0], response, right)
                follow(list(rule[0])[1:] if holds else [part for other in rule[1:] for part in other])

    follow(texts["responseProcessing"])
    shown = [
        "".join(part.itertext())
        for part in item
        if name_of(part) == "modalFeedback" and part.get("identifier") == outcome["FEEDBACK"]
    ]
    return outcome["SCORE"], shown


@pytest.fixture(scope="module")
def packed(real):
    data, count = questions.package(real, [])
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}, count


def test_every_question_of_the_book_is_in_the_package(real, packed):
    files, count = packed
    asked = sum(len(re.findall(r"^    (?:Choice|Number)\(", real.text(page), re.M)) for page in real.toc)
    assert count == asked == sum(name.startswith("items/") for name in files) > 80


def test_items_and_tests_are_as_the_schema_has_them(packed):
    files, _ = packed
    found = {
        name: list(faults(ElementTree.fromstring(text))) for name, text in files.items() if name != "imsmanifest.xml"
    }
    assert {name: said for name, said in found.items() if said} == {}
    assert list(faults(ElementTree.fromstring(f'<itemBody xmlns="{questions.QTI}"><b/></itemBody>')))


def test_a_platform_gives_the_point_for_the_right_answer_alone(packed):
    files, _ = packed
    for name, text in files.items():
        if not name.startswith("items/"):
            continue
        item = ElementTree.fromstring(text)
        if options := list(item.iter(f"{{{questions.QTI}}}simpleChoice")):
            outcomes = [processed(item, option.get("identifier")) for option in options]
            assert sorted(score for score, _ in outcomes) == [0.0] * (len(options) - 1) + [1.0], name
            assert all(len(shown) == 1 and shown[0] for _, shown in outcomes), name
            continue
        low, high = (float(next(item.iter(f"{{{questions.QTI}}}{rule}"))[1].text) for rule in ("gte", "lte"))
        width = high - low
        middle = float(next(item.iter(f"{{{questions.QTI}}}value")).text)
        scores = [processed(item, answer)[0] for answer in (low - width, low, middle, high, high + width)]
        assert scores == [0.0, 1.0, 1.0, 1.0, 0.0], name
        assert processed(item, low - width)[1] == ["Not yet."]


def test_the_manifest_names_every_file_once(packed):
    files, _ = packed
    root = ElementTree.fromstring(files["imsmanifest.xml"])
    inside = "{" + questions.PACKAGE + "}"
    assert sorted(part.get("href") for part in root.iter(f"{inside}file")) == sorted(set(files) - {"imsmanifest.xml"})
    known = {part.get("identifier") for part in root.iter(f"{inside}resource")}
    assert {part.get("identifierref") for part in root.iter(f"{inside}dependency")} <= known
    for name, text in files.items():
        if name.startswith("test-"):
            tree = ElementTree.fromstring(text)
            refers = [part.get("href") for part in tree.iter(f"{{{questions.QTI}}}assessmentItemRef")]
            assert refers
            assert set(refers) <= set(files)


def test_signs_and_letters_of_formulas_cross():
    choice = "<fieldset><legend>1. Is <i>w</i> &lt; 2<sup>3</sup> &amp; so?</legend>" + "".join(
        f'<details><summary>{text}</summary><p><strong>{says}</strong> <span class="x">Since</span> &gt;</p></details>'
        for text, says in (("a<br>b", "No."), ("c", "Right."))
    )
    number = (
        '<fieldset><legend>2. How many?</legend><div><label>Your number <input type="number" min="-2.1" max="-1.9"> m'
        '</label></div><div><p class="right"><strong>Right.</strong> Minus two.</p></div></fieldset>'
    )
    one, two = questions.read("why/x", "A & B", f'<div class="quiz">{choice}</fieldset>{number}</div>')
    assert one.text == "Is <i>w</i> &lt; 2<sup>3</sup> &amp; so?"
    assert (one.options, one.right) == ((("a<br/>b", "Since &gt;"), ("c", "Since &gt;")), 1)
    assert (two.low, two.high, two.unit, two.because) == ("-2.1", "-1.9", " m", "Minus two.")
    for question in (one, two):
        assert list(faults(ElementTree.fromstring(questions.item(question)))) == []
    assert 'title="A &amp; B, question 1"' in questions.item(one)


def test_the_command(real, tmp_path, capsys):
    arguments = ["--root", str(real.root), "questions", "why/descent", "--out"]
    assert main([*arguments, str(tmp_path / "a.zip")]) == 0
    assert "3 questions as QTI 2.1" in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "b.zip")]) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert main([*arguments, str(tmp_path / "a.txt")]) == 1
    assert "wanted a name that ends in .zip" in capsys.readouterr().err
    with pytest.raises(BookError, match="appendix/grading: no questions are recorded there"):
        questions.package(real, ["appendix/grading"])


@pytest.mark.skipif("QTI_SCHEMA" not in os.environ, reason="QTI_SCHEMA names no folder with the schema")
def test_everything_is_valid_by_the_schema(packed):
    xmlschema = pytest.importorskip("xmlschema")
    place = Path(os.environ["QTI_SCHEMA"])

    def here(address):
        return re.sub(r"^https?://", f"{place.as_uri()}/", address)

    schema = xmlschema.XMLSchema10(str(place / "www.imsglobal.org/xsd/imsqti_v2p1.xsd"), uri_mapper=here)
    for name, text in packed[0].items():
        if name != "imsmanifest.xml":
            assert [error.reason for error in schema.iter_errors(text)] == [], name
