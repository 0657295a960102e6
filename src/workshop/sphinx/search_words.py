"""Search that finds Chinese words of any length in an English book.

Sphinx takes what stands between two punctuation marks for one word; Chinese has no spaces, so 梯度 (gradient) was found
only where it stood alone, and Sphinx's own class for Chinese needs a dictionary of 20 MB (jieba) at build time and has
no counterpart in the browser. Here Chinese text is indexed by its characters and pairs of neighbours, and a query asks
for all of its pairs: the usual way without a dictionary. English words are treated as before. Offline, as everything.
"""

import re

from sphinx.search.en import SearchEnglish

WORD = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")


class SearchEnglishAndChinese(SearchEnglish):
    js_splitter_code = r"""
function splitQuery(query) {
  const chinese = /[\u3400-\u9fff]/;
  const words = query.match(/[\u3400-\u9fff]+|((?![\u3400-\u9fff])[\p{L}\p{N}_\p{Emoji_Presentation}])+/gu);
  const pairs = (word) => [...word.slice(1)].map((next, i) => word[i] + next);
  return (words || []).flatMap((word) => word.length > 1 && chinese.test(word) ? pairs(word) : [word]);
}

// A page in a folder may not read another one: the results stand without an extract.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
"""

    def split(self, input):
        words = []
        for word in WORD.findall(input):
            if "\u3400" <= word[0] <= "\u9fff":
                words += word
                words += [word[i : i + 2] for i in range(len(word) - 1)]
            else:
                words.append(word)
        return words


def setup(app):
    app.add_search_language(SearchEnglishAndChinese)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
