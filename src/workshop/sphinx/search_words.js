/* The browser's half of search_words.py, put into language_data.js: after Stemmer, and after Sphinx's Search. */

function splitQuery(query) {
  const chinese = /[\u3400-\u9fff]/;
  const words = query.match(/[\u3400-\u9fff]+|((?![\u3400-\u9fff])[\p{L}\p{N}_\p{Emoji_Presentation}])+/gu);
  const pairs = (word) => [...word.slice(1)].map((next, i) => word[i] + next);
  return (words || []).flatMap((word) => (word.length > 1 && chinese.test(word) ? pairs(word) : [word]));
}

/** A word in American spelling, as the index has it. */
const american = (word) => SPELLINGS.reduce((now, [british, other]) => now.replace(new RegExp(british), other), word);

Stemmer = ((Plain) =>
  function () {
    const plain = new Plain();
    this.stemWord = (word) => plain.stemWord(american(word));
  })(Stemmer);

if (typeof Search !== "undefined") {
  const left = new Set(stopwords); // a list in Sphinx 7, a set since 8
  const stems = (words) => {
    const stemmer = new Stemmer();
    return words.map((word) => word.toLowerCase()).filter((word) => !left.has(word)).map((word) => stemmer.stemWord(word));
  };
  const indexed = (word) => {
    const [stem] = stems([word]);
    return [Search._index.terms, Search._index.titleterms].some((terms) => stem && Object.hasOwn(terms, stem));
  };

  /** A query in the forms that the book has: "pre training" is also asked as "pretraining", and the other way round. */
  const forms = (query) => {
    const words = splitQuery(query.toLowerCase());
    const found = [words];
    words.forEach((word, i) => {
      const replaced = (count, ...by) => found.push([...words.slice(0, i), ...by, ...words.slice(i + count)]);
      if (Object.hasOwn(COMPOUNDS, word)) replaced(1, ...COMPOUNDS[word]);
      if (i + 1 < words.length && /^[a-z]{2,}$/.test(word) && indexed(word + words[i + 1])) replaced(2, word + words[i + 1]);
    });
    return found;
  };

  /** The stems of a title: of its words, and of a compound also as one word. */
  const titleStems = (title) => {
    const words = splitQuery(title.toLowerCase());
    return new Set(stems([...words, ...words.slice(1).map((word, i) => words[i] + word)]));
  };

  const plain = Search._performSearch;
  Search._performSearch = (query, terms, excluded, highlighted, objects) => {
    const asked = forms(query);
    const best = new Map();
    for (const words of asked) {
      const required = new Set(stems(words.filter((word) => !/^\d+$/.test(word))));
      for (const result of plain(words.join(" "), required, excluded, highlighted, objects)) {
        const [page, title, anchor] = result;
        const key = `${page} ${anchor}`;
        const own = anchor ? title.split(" > ").pop() : title;
        const inTitle = asked.some((form) => {
          const [wanted, there] = [stems(form), titleStems(own)];
          return wanted.length && wanted.every((stem) => there.has(stem));
        });
        if (inTitle) result[4] += (anchor ? 1000 : 2000) - splitQuery(own).length;
        if (!best.has(key) || best.get(key)[4] < result[4]) best.set(key, result);
      }
    }
    return [...best.values()].sort((p, q) => p[4] - q[4] || (p[1] < q[1] ? 1 : p[1] > q[1] ? -1 : 0));
  };
}

// A page in a folder may not read another one: the results stand without an extract.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
