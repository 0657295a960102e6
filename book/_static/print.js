/* A page that is dark on the screen is printed light. The theme's colours hang on an attribute, which no style sheet
   can change; without this script, which the theme's own needs as well, no page is dark. */
{
  let before = null;

  window.addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme ?? null;
    document.documentElement.dataset.theme = "light";
  });

  window.addEventListener("afterprint", () => {
    if (before === null) {
      delete document.documentElement.dataset.theme;
    } else {
      document.documentElement.dataset.theme = before;
    }
  });
}
