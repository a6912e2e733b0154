// What pages need beside htmx: a pause of what is live, a question before something is thrown away, and the keyboard.
"use strict";
(() => {
  let paused = sessionStorage.getItem("paused") === "yes";
  const show = () => {
    for (const button of document.querySelectorAll("[data-pause]")) {
      button.textContent = paused ? "Go on" : "Pause";
      button.setAttribute("aria-pressed", String(paused));
    }
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-pause]")) return;
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "yes" : "no");
    show();
  });
  // A live part is not exchanged under somebody's hands: while it is paused, hidden, or has the keyboard's focus.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const live = event.target.closest("[data-live]");
    if (live && (paused || document.hidden || live.contains(document.activeElement))) event.preventDefault();
  });
  // What is wider than its place is scrolled by the keyboard, too.
  const reach = () => {
    for (const part of document.querySelectorAll(".scroll")) {
      if (part.scrollWidth > part.clientWidth) part.setAttribute("tabindex", "0");
      else part.removeAttribute("tabindex");
    }
  };
  document.addEventListener("htmx:afterSwap", reach);
  window.addEventListener("resize", reach);
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  });
  show();
  reach();
  document.querySelector(".bar nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
