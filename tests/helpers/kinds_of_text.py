"""axe's rules of colours, asked of each kind of text once: once in a page, and once in all pages of a process.

Nearly all of axe's time went into the colours of every letter of every formula, token and table cell. What has the same
colours, background, opacity and effects from the root down, and the same size and weight, has the same contrast,
whatever page it stands on.
"""

from __future__ import annotations

_MARK = """([within, known]) => {
  for (const marked of document.querySelectorAll('[data-kind]')) delete marked.dataset.kind;
  const inherited = ['color', 'backgroundColor', 'backgroundImage', 'opacity', 'filter', 'mixBlendMode', 'textShadow',
    'visibility'];
  const letters = ['fontSize', 'fontWeight', 'fontStyle', 'fontFamily', 'textDecorationLine', 'borderBottomWidth'];
  const looks = new Map([[null, '']]), seen = new Set(known);
  const look = element => {
    if (!looks.has(element)) {
      const style = getComputedStyle(element), own = '>' + inherited.map(name => style[name]).join('|');
      const above = look(element.parentElement);
      looks.set(element, above.endsWith(own) ? above : above + own);
    }
    return looks.get(element);
  };
  for (const element of document.querySelectorAll(`${within} *`)) {
    const says = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!says && !element.matches('a, button, input, select, textarea, summary')) continue;
    const style = getComputedStyle(element), kind = [look(element), ...letters.map(name => style[name])];
    if (element.localName === 'a') {  // told from the words around it, where there are any
      const block = element.closest('p, li, td, th, dd, dt, figcaption, blockquote, div, nav');
      kind.push('a', look(block), getComputedStyle(block).fontWeight, block.localName);
      kind.push(block.textContent.trim() === element.textContent.trim());
    }
    if (!seen.has(kind.join('|'))) element.dataset.kind = '';
    seen.add(kind.join('|'));
  }
  return [...seen].slice(known.length);
}"""
"""Mark the first text of each kind that is not known; what axe's rules of colours read."""

COLOURS = {"color-contrast": "[data-kind]", "link-in-text-block": "a[href][data-kind]"}
_CONFIGURE = "rules => axe.configure({rules: Object.entries(rules).map(([id, selector]) => ({id, selector}))})"


def prepare(page, axe):
    """Bring axe into a page, its rules of colours held to what ``mark`` has marked."""
    page.evaluate(axe.axe_script)
    page.evaluate(_CONFIGURE, COLOURS)


def mark(page, known, within="body"):
    """Mark the first text of each kind within an element that is not known yet, and return these kinds.

    Again after each change of width or colours. ``known``: kinds that axe has seen and found nothing wrong with.
    """
    return page.evaluate(_MARK, [within, sorted(known)])
