/* CodeMirror 6 with Python's colours; the modules lie beside this file. */
import { EditorState, StateEffect, StateField } from "./codemirror-state.mjs";
import { Decoration, EditorView, drawSelection, keymap, lineNumbers } from "./codemirror-view.mjs";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "./codemirror-commands.mjs";
import { LRLanguage, bracketMatching, foldNodeProp, indentNodeProp, indentUnit, syntaxHighlighting } from "./codemirror-language.mjs";
import { classHighlighter } from "./lezer-highlight.mjs";
import { parser } from "./lezer-python.mjs";

const python = LRLanguage.define({
  name: "python",
  parser: parser.configure({ props: [foldNodeProp.add({}), indentNodeProp.add({})] }),
  languageData: { commentTokens: { line: "#" } },
});

const setWrong = StateEffect.define();
const wrong = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    for (const effect of transaction.effects) {
      if (!effect.is(setWrong)) continue;
      const { doc } = transaction.state;
      if (!effect.value || effect.value > doc.lines) return Decoration.none;
      return Decoration.set([Decoration.line({ class: "live-wrong" }).range(doc.line(effect.value).from)]);
    }
    return transaction.docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** An editor: its element, `text()`, `set(text)`, `mark(line)`; `run` is called for Shift-Enter. */
export function editor(source, label, run) {
  const keys = ["Shift-Enter", "Mod-Enter"].map((key) => ({ key, run: () => (run(), true) }));
  const view = new EditorView({
    state: EditorState.create({
      doc: source,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        indentUnit.of("    "),
        EditorState.tabSize.of(4),
        keymap.of([...keys, ...defaultKeymap, ...historyKeymap, indentWithTab]),
        python,
        syntaxHighlighting(classHighlighter),
        wrong,
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocapitalize: "off" }),
      ],
    }),
  });
  return {
    element: view.dom,
    text: () => view.state.doc.toString(),
    set: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    mark: (line) => view.dispatch({ effects: setWrong.of(line) }),
    focus: () => view.focus(),
  };
}

