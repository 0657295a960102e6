"""Search that finds a word however it is written, Chinese words of any length, and the page that is about it first.

- Chinese. Sphinx takes what stands between two punctuation marks for one word; Chinese has no spaces, so 梯度
  (gradient) was found only where it stood alone, and Sphinx's own class for Chinese needs a dictionary of 20 MB
  (jieba) at build time and has no counterpart in the browser. Here Chinese text is indexed by its characters and pairs
  of neighbours, and a query asks for all of its pairs: the usual way without a dictionary.
- British and American spelling are one word, in the index and in a query: what Sphinx stems is made American first.
- pre-training, pretraining and "pre training" find the same pages: a query is asked in every form that the book has.
- Sphinx ranks a page that holds a word once like one that is about it. Here a page whose title holds all the words of
  the query comes first, the shortest title before the others; then sections whose title does.

Offline, as everything. ``search_words.js`` is the browser's half.
"""

import json
import re
from pathlib import Path

from sphinx.search.en import SearchEnglish

from workshop.sphinx import passes

WORD = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")
COMPOUND = re.compile(r"(?<![\w-])([a-z]{2,})-([a-z]{2,})(?![\w-])")
SPELLINGS = (
    (r"is(e|es|ed|er|ers|ing|ation|ations|able)$", r"iz\1"),
    (r"ys(e|es|ed|er|ers|ing)$", r"yz\1"),
    (r"([a-z]{3})our(s|ed|ing|al|able|ful|less)?$", r"\1or\2"),
    (r"([a-z]{2})tre(s)?$", r"\1ter\2"),
    (r"([a-z]{3}[aeiou])ll(ed|ing|er)$", r"\1l\2"),
)
"""British endings -> American ones. Words that are neither, such as noise, change too, in the index and in a query."""


def american(word):
    for british, other in SPELLINGS:
        word = re.sub(british, other, word)
    return word


class SearchWords(SearchEnglish):
    def __init__(self, options):
        super().__init__(options)
        self.compounds = {}

    def split(self, input):
        self.compounds.update(("".join(parts), parts) for parts in COMPOUND.findall(input.lower()))
        words = []
        for word in WORD.findall(input):
            if "\u3400" <= word[0] <= "\u9fff":
                words += word
                words += [word[i : i + 2] for i in range(len(word) - 1)]
            else:
                words.append(word)
        return words

    def stem(self, word):
        return super().stem(american(word.lower()))

    @property
    def js_splitter_code(self):
        """What ``language_data.js`` gets beside the stemmer."""
        endings = json.dumps([(british, other.replace("\\", "$")) for british, other in SPELLINGS])
        rest = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
        return f"{constant(self.compounds)}\nconst SPELLINGS = {endings};\n{rest}"


def constant(compounds):
    return f"const COMPOUNDS = {json.dumps(dict(sorted(compounds.items())), separators=(',', ':'))};"


def tell_compounds(app, exception):
    """Write what the pages have: Sphinx makes ``language_data.js`` before it reads their words."""
    if exception or app.builder.format != "html" or not app.builder.search:
        return
    path = Path(app.outdir) / "_static" / "language_data.js"
    text = path.read_text(encoding="utf-8")
    if text.count(constant({})) != 1:
        raise ValueError(f"{path.name}: no place for compounds; has Sphinx changed when it writes this file?")
    path.write_text(text.replace(constant({}), constant(app.builder.indexer.lang.compounds)), encoding="utf-8")


def setup(app):
    app.add_search_language(SearchWords)
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
