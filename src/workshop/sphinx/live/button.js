/* Shows the button where the browser can run the page, and loads the rest on the click. */
(() => {
  "use strict";

  const here = document.currentScript.src;
  const offer = document.getElementById("live-offer");
  // A page opened from a folder may neither fetch a file nor start a worker.
  if (!offer || !window.Worker || !window.WebAssembly || location.protocol === "file:") return;
  offer.hidden = false;
  const button = offer.querySelector("button");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { start } = await import(new URL("live.mjs", here).href);
      await start(offer, new URL("./", here).href);
    } catch (error) {
      button.disabled = false;
      offer.querySelector("span").textContent = `This did not work: ${error.message} Reload the page to try again.`;
    }
  });
})();
