"""`python -m workshop questions`: the book's questions as a package of QTI 2.1, for a learning platform's own quizzes.

They are read from the recordings, so their numbers are those that the chapters computed. A choice keeps the remark on
each option as its feedback; a number keeps the range that the page accepts. One item a question, one test a page.

1EdTech, Question and Test Interoperability 2.1 (2012): https://www.imsglobal.org/question/qtiv2p1/imsqti_infov2p1.html
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from bs4 import BeautifulSoup, Tag

from workshop import notebook as nb
from workshop.book import Book, BookError
from workshop.markdown import parse

QTI = "http://www.imsglobal.org/xsd/imsqti_v2p1"
PACKAGE = "http://www.imsglobal.org/xsd/imscp_v1p1"
INLINE = {"b", "br", "code", "em", "i", "strong", "sub", "sup"}
"""What stays of a question's HTML; QTI has all of these. The signs of other elements go, their words stay."""


def xhtml(element: Tag, *without: str) -> str:
    """Return what is inside an element as XHTML that QTI knows; without: elements of these tags are left out whole."""
    parts = []
    for child in element.children:
        if not isinstance(child, Tag):
            parts.append(escape(str(child)))
        elif child.name not in without:
            inside = xhtml(child, *without)
            shown = f"<{child.name}>{inside}</{child.name}>" if inside else f"<{child.name}/>"
            parts.append(shown if child.name in INLINE else inside)
    return "".join(parts).strip()


@dataclass(frozen=True)
class Question:
    """One question of a page. options: (text, remark) pairs of a choice, none of a number; right: the option's place.

    low, high: the accepted range of a number as the page has it; because: its remark. All texts are XHTML.
    """

    identifier: str
    title: str
    text: str
    options: tuple[tuple[str, str], ...] = ()
    right: int = 0
    low: str = ""
    high: str = ""
    unit: str = ""
    because: str = ""


def read(page: str, title: str, html: str) -> Iterator[Question]:
    """Yield the questions of a quiz as `gradclinic.course.quiz` writes it."""
    for count, asked in enumerate(BeautifulSoup(html, "html.parser").find_all("fieldset"), start=1):
        identifier = f"{page.replace('/', '-')}-{count}"
        text = re.sub(r"^\d+\. ", "", xhtml(asked.legend))
        named = f"{title}, question {count}"
        if (field := asked.find("input")) is None:
            said = [(part.summary, part.p) for part in asked.find_all("details")]
            verdicts = [xhtml(remark.strong) == "Right." for _, remark in said]
            options = tuple((xhtml(option), xhtml(remark, "strong")) for option, remark in said)
            yield Question(identifier, named, text, options, verdicts.index(True))
            continue
        unit = "".join(part for part in field.next_siblings if isinstance(part, str))
        because = xhtml(asked.find("p", class_="right"), "strong")
        yield Question(identifier, named, text, low=field["min"], high=field["max"], unit=escape(unit), because=because)


def recorded(book: Book, page: str) -> list[Question]:
    """Return the questions of a page, none where it asks none."""
    notebook = nb.read(book, page)
    outputs = [output for cell in (notebook.cells if notebook else []) for output in cell.get("outputs", [])]
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    if not (quizzes := [html for html in shown if 'class="quiz"' in html]):
        return []
    title = next((title for _, title in parse(book.text(page)).headings), page)
    return [question for html in quizzes for question in read(page, title, html)]


DECLARED = """\
  <outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float">
    <defaultValue><value>0</value></defaultValue>
  </outcomeDeclaration>
  <outcomeDeclaration identifier="MAXSCORE" cardinality="single" baseType="float">
    <defaultValue><value>1</value></defaultValue>
  </outcomeDeclaration>
  <outcomeDeclaration identifier="FEEDBACK" cardinality="single" baseType="identifier"/>
"""
POINT = '<setOutcomeValue identifier="SCORE"><baseValue baseType="float">1</baseValue></setOutcomeValue>'


def item(question: Question) -> str:
    """Return a question as an `assessmentItem`."""
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<assessmentItem xmlns="{QTI}" '
        f"identifier={quoteattr(question.identifier)} title={quoteattr(question.title)} "
        'adaptive="false" timeDependent="false">\n'
    )
    return head + (choice(question) if question.options else number(question)) + "</assessmentItem>\n"


def choice(question: Question) -> str:
    """Return the body of an item that asks for one of several options, each with its remark."""
    options = "\n".join(
        f'      <simpleChoice identifier="C{at}">{text}</simpleChoice>'
        for at, (text, _) in enumerate(question.options, start=1)
    )
    remarks = "".join(feedback(f"C{at}", remark) for at, (_, remark) in enumerate(question.options, start=1))
    return f"""\
  <responseDeclaration identifier="RESPONSE" cardinality="single" baseType="identifier">
    <correctResponse><value>C{question.right + 1}</value></correctResponse>
  </responseDeclaration>
{DECLARED}\
  <itemBody>
    <choiceInteraction responseIdentifier="RESPONSE" shuffle="true" maxChoices="1">
      <prompt>{question.text}</prompt>
{options}
    </choiceInteraction>
  </itemBody>
  <responseProcessing>
    <responseCondition>
      <responseIf>
        <match><variable identifier="RESPONSE"/><correct identifier="RESPONSE"/></match>
        {POINT}
      </responseIf>
    </responseCondition>
    <setOutcomeValue identifier="FEEDBACK"><variable identifier="RESPONSE"/></setOutcomeValue>
  </responseProcessing>
{remarks}"""


def number(question: Question) -> str:
    """Return the body of an item that asks for a number within a range."""
    low, high = (f'<baseValue baseType="float">{bound}</baseValue>' for bound in (question.low, question.high))
    told = '<setOutcomeValue identifier="FEEDBACK"><baseValue baseType="identifier">{}</baseValue></setOutcomeValue>'
    return f"""\
  <responseDeclaration identifier="RESPONSE" cardinality="single" baseType="float">
    <correctResponse><value>{(float(question.low) + float(question.high)) / 2:.6g}</value></correctResponse>
  </responseDeclaration>
{DECLARED}\
  <itemBody>
    <p>{question.text}</p>
    <p>Your number <textEntryInteraction responseIdentifier="RESPONSE" expectedLength="12"/>{question.unit}</p>
  </itemBody>
  <responseProcessing>
    <responseCondition>
      <responseIf>
        <and>
          <gte><variable identifier="RESPONSE"/>{low}</gte>
          <lte><variable identifier="RESPONSE"/>{high}</lte>
        </and>
        {POINT}
        {told.format("RIGHT")}
      </responseIf>
      <responseElse>
        {told.format("WRONG")}
      </responseElse>
    </responseCondition>
  </responseProcessing>
{feedback("RIGHT", question.because)}{feedback("WRONG", "Not yet.")}"""


def feedback(identifier: str, text: str) -> str:
    """Return what is shown after an answer."""
    return (
        f'  <modalFeedback outcomeIdentifier="FEEDBACK" identifier="{identifier}" showHide="show">{text}'
        "</modalFeedback>\n"
    )


def test(page: str, title: str, questions: list[Question]) -> str:
    """Return the questions of a page as an `assessmentTest`."""
    name = page.replace("/", "-")
    items = "\n".join(
        f"        <assessmentItemRef identifier={quoteattr(question.identifier)} "
        f'href="items/{question.identifier}.xml"/>'
        for question in questions
    )
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<assessmentTest xmlns="{QTI}" identifier={quoteattr(f"test-{name}")} title={quoteattr(title)}>
  <testPart identifier="part" navigationMode="nonlinear" submissionMode="individual">
    <assessmentSection identifier="section" title={quoteattr(title)} visible="true">
{items}
    </assessmentSection>
  </testPart>
</assessmentTest>
"""


def manifest(tests: dict[str, list[Question]]) -> str:
    """Return the list of everything in the package."""
    resources = []
    for page, questions in tests.items():
        name = page.replace("/", "-")
        for question in questions:
            path = f"items/{question.identifier}.xml"
            resources.append(
                f'    <resource identifier="item-{question.identifier}" type="imsqti_item_xmlv2p1" href="{path}">\n'
                f'      <file href="{path}"/>\n    </resource>'
            )
        needs = "".join(f'\n      <dependency identifierref="item-{question.identifier}"/>' for question in questions)
        resources.append(
            f'    <resource identifier="test-{name}" type="imsqti_test_xmlv2p1" href="test-{name}.xml">\n'
            f'      <file href="test-{name}.xml"/>{needs}\n    </resource>'
        )
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<manifest xmlns="{PACKAGE}" identifier="course-questions">
  <metadata>
    <schema>QTIv2.1 Package</schema>
    <schemaversion>1.0.0</schemaversion>
  </metadata>
  <organizations/>
  <resources>
{chr(10).join(resources)}
  </resources>
</manifest>
"""


def package(book: Book, pages: list[str]) -> tuple[bytes, int]:
    """Return the zip and how many questions it holds; pages: of these, or of all where none is named."""
    wanted = [book.find(page) for page in pages] or list(book.toc)
    tests = {page: found for page in wanted if (found := recorded(book, page))}
    if silent := [page for page in wanted if page not in tests and pages]:
        raise BookError(f"{', '.join(silent)}: no questions are recorded there")
    if not tests:
        raise BookError("no page has recorded questions; first: python -m workshop record")
    files = {"imsmanifest.xml": manifest(tests)}
    for page, questions in tests.items():
        title = questions[0].title.rpartition(", question")[0]
        files[f"test-{page.replace('/', '-')}.xml"] = test(page, title, questions)
        files |= {f"items/{question.identifier}.xml": item(question) for question in questions}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)  # of no date: the same questions give the same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return packed.getvalue(), sum(map(len, tests.values()))


def write(book: Book, pages: list[str], out: Path) -> None:
    """Write the package."""
    packed, count = package(book, pages)
    if out.suffix != ".zip":
        raise BookError(f"--out: got {out.name}, wanted a name that ends in .zip")
    out.write_bytes(packed)
    print(f"questions: {count} questions as QTI 2.1 in {out}")
