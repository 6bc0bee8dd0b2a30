// What the pages gain by JavaScript: local times, live parts, the theme without a reload, a key for the search field.
// Everything works without it. Text is only ever set as text; pages come parsed from our own server, never as markup.
"use strict";

(() => {
  const EVERY = 3000; // milliseconds between two looks at what is live
  const root = document.documentElement;

  const localTimes = (within) => {
    const today = new Date().toDateString();
    const told = (when, form) => {
      const day = when.toDateString() === today ? "" : when.toLocaleDateString([], { month: "short", day: "numeric" }) + ", ";
      return day + when.toLocaleTimeString([], { timeStyle: form });
    };
    for (const element of within.querySelectorAll("time[datetime]")) {
      const when = new Date(element.getAttribute("datetime"));
      if (Number.isNaN(when.getTime())) continue;
      element.textContent = told(when, "short" in element.dataset ? "short" : "medium");
      element.title = when.toString();
    }
    for (const title of within.querySelectorAll("title[data-time]")) {
      title.textContent = title.textContent.split(" · ")[0] + " · " + told(new Date(Number(title.dataset.time)), "short");
    }
  };

  // A part that somebody works in stays as it is.
  const isBusy = (part) => {
    const chosen = document.getSelection();
    return part.contains(document.activeElement) || part.querySelector("details[open]") !== null ||
      (chosen !== null && !chosen.isCollapsed && part.contains(chosen.anchorNode));
  };

  const served = new Map(); // what the server sent last, by id, to leave alone what did not change
  const parts = () => document.querySelectorAll("[data-live][id]");

  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin", cache: "no-store" });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts()) {
      const next = fresh.getElementById(part.id);
      if (next === null || isBusy(part) || served.get(part.id) === next.outerHTML) continue;
      served.set(part.id, next.outerHTML);
      const taken = document.importNode(next, true);
      localTimes(taken);
      for (const box of taken.querySelectorAll("[data-all]")) box.hidden = false;
      part.replaceWith(taken);
    }
  };

  const live = () => {
    const button = document.querySelector("[data-pause]");
    if (parts().length === 0 || button === null) return;
    const state = button.querySelector("[data-state]");
    let paused = false;
    const show = (text, good) => {
      state.textContent = text;
      button.querySelector(".dot").className = good ? "dot ok" : "dot";
    };
    const look = async () => {
      if (!paused && !document.hidden) {
        try {
          await refresh();
          if (!paused) show("Live", true);
        } catch {
          show("No answer", false);
        }
      }
      setTimeout(look, EVERY);
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      show(paused ? "Paused" : "Live", !paused);
    });
    setTimeout(look, EVERY);
  };

  const theme = () => {
    const form = document.querySelector("[data-theme-form]");
    if (form === null) return;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      fetch(form.action, { method: "POST", body: new URLSearchParams({ theme: root.dataset.theme }), redirect: "manual" });
    });
  };

  const keys = () => {
    document.addEventListener("keydown", (event) => {
      const search = document.querySelector("[data-search]");
      const typing = event.target instanceof Element && event.target.closest("input, textarea, select") !== null;
      if (event.key !== "/" || typing || search === null || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      search.focus();
      search.select();
    });
    document.addEventListener("keydown", (event) => {
      const open = event.key === "Escape" && document.querySelector("details.menu[open]");
      if (open) {
        open.open = false;
        open.querySelector("summary").focus();
      }
    });
  };

  // A file is read into the text field beside it, so that the form needs nothing but text.
  const uploads = () => {
    for (const input of document.querySelectorAll("[data-into]")) {
      const target = document.getElementById(input.dataset.into);
      input.closest("label").hidden = false;
      input.addEventListener("change", async () => {
        if (input.files.length > 0) target.value = await input.files[0].text();
      });
    }
  };

  // Of the form of a rule only what belongs to its kind is shown.
  const rules = () => {
    const kind = document.querySelector("select[name=kind]");
    if (kind === null || document.querySelector("[data-for]") === null) return;
    const show = () => {
      for (const set of document.querySelectorAll("[data-for]")) set.hidden = set.dataset.for !== kind.value;
      for (const part of document.querySelectorAll("select[name=field]")) {
        const key = part.closest(".row").querySelector("input[name=key]");
        key.disabled = !part.value.startsWith("request_") || part.value === "request_body";
      }
    };
    document.addEventListener("change", show);
    kind.form.addEventListener("submit", () => {
      for (const key of document.querySelectorAll("input[name=key]")) key.disabled = false; // rows stay in step
    });
    show();
  };

  // One box selects all; it is looked for each time, for live parts are replaced.
  const selectAll = () => {
    for (const box of document.querySelectorAll("[data-all]")) box.hidden = false;
    document.addEventListener("change", (event) => {
      if (!(event.target instanceof Element) || !event.target.matches("[data-all]")) return;
      for (const each of event.target.closest("form").querySelectorAll("input[name=id]")) each.checked = event.target.checked;
    });
  };

  // On a phone the pages' names are one line that scrolls.
  const showCurrent = () => {
    const link = document.querySelector(".side [aria-current]");
    const nav = link === null ? null : link.closest("nav");
    if (nav !== null && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = link.offsetLeft - nav.clientWidth / 2 + link.offsetWidth / 2;
  };

  localTimes(document);
  showCurrent();
  selectAll();
  rules();
  theme();
  keys();
  uploads();
  live();
})();
