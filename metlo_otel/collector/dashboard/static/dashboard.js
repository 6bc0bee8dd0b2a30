// What the pages gain by JavaScript: local times, live parts, the theme without a reload, a key for the search field.
// Everything works without it. Text is only ever set as text; pages come parsed from our own server, never as markup.
"use strict";

(() => {
  const EVERY = 3000; // milliseconds between two looks at what is live
  const root = document.documentElement;

  // In the reader's own zone, or in UTC where that was chosen.
  const inUtc = root.dataset.zone === "utc";
  const zone = inUtc ? { timeZone: "UTC" } : {};
  const told = (when, form) => {
    const date = (each) => each.toLocaleDateString([], { month: "short", day: "numeric", ...zone });
    const day = date(when) === date(new Date()) ? "" : date(when) + ", ";
    return day + when.toLocaleTimeString([], { timeStyle: form, ...zone });
  };

  const localTimes = (within) => {
    for (const element of within.querySelectorAll("time[datetime]")) {
      const when = new Date(element.getAttribute("datetime"));
      if (Number.isNaN(when.getTime())) continue;
      element.textContent = told(when, "short" in element.dataset ? "short" : "medium");
      element.title = inUtc ? when.toUTCString() : when.toString();
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
      charts(taken);
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
      for (const each of event.target.closest("table").querySelectorAll("input[name=id]")) each.checked = event.target.checked;
    });
  };

  // On a phone the pages' names are one line that scrolls.
  const showCurrent = () => {
    const link = document.querySelector(".side [aria-current]");
    const nav = link === null ? null : link.closest("nav");
    if (nav !== null && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = link.offsetLeft - nav.clientWidth / 2 + link.offsetWidth / 2;
  };

  // The fields of the time picker are in the reader's zone, what is sent in UTC.
  const timeFields = () => {
    const name = inUtc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const each of document.querySelectorAll("[data-zone-name]")) each.textContent = name;
    for (const form of document.querySelectorAll("[data-zone-form]")) form.hidden = false;
    const pad = (number) => String(number).padStart(2, "0");
    for (const form of document.querySelectorAll("form[data-span]")) {
      const fields = form.querySelectorAll("input[type=datetime-local]");
      for (const field of inUtc ? [] : fields) {
        if (!field.value) continue;
        const when = new Date(field.value + "Z");
        field.value = `${when.getFullYear()}-${pad(when.getMonth() + 1)}-${pad(when.getDate())}T${pad(when.getHours())}:${pad(when.getMinutes())}`;
      }
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const asked = new URLSearchParams(new FormData(form));
        for (const field of fields) {
          if (!field.value) asked.delete(field.name);
          else if (!inUtc) asked.set(field.name, new Date(field.value).toISOString());
        }
        location.search = asked.toString();
      });
    }
  };

  // A stretch of a chart that is drawn over with the pointer becomes the time shown; columns tell what they are, also
  // by the arrow keys.
  const charts = (within) => {
    for (const plot of within.querySelectorAll(".plot")) {
      const columns = [...plot.querySelectorAll("g[data-told]")];
      let at = -1, from = null, brush = null;
      const tip = document.createElement("div");
      tip.className = "tip";
      tip.hidden = true;
      tip.setAttribute("role", "status");
      plot.append(tip);
      for (const title of plot.querySelectorAll("title")) title.remove();
      const show = (index) => {
        for (const each of plot.querySelectorAll(".marked")) each.classList.remove("marked");
        const column = columns[index];
        at = column === undefined ? -1 : index;
        tip.hidden = column === undefined;
        if (column === undefined) return;
        column.classList.add("marked");
        tip.textContent = column.dataset.told + (column.dataset.time ? " · " + told(new Date(Number(column.dataset.time)), "short") : "");
        const frame = plot.getBoundingClientRect(), place = column.getBoundingClientRect();
        const half = tip.offsetWidth / 2, middle = place.left - frame.left + place.width / 2;
        tip.style.left = Math.max(half, Math.min(frame.width - half, middle)) + "px";
      };
      plot.tabIndex = columns.length > 0 ? 0 : -1;
      plot.addEventListener("blur", () => show(-1));
      plot.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        show(at < 0 ? (step > 0 ? 0 : columns.length - 1) : Math.max(0, Math.min(columns.length - 1, at + step)));
      });
      const share = (event) => {
        const frame = plot.getBoundingClientRect();
        return Math.max(0, Math.min(1, (event.clientX - frame.left) / frame.width));
      };
      plot.addEventListener("pointermove", (event) => {
        const column = event.target instanceof Element ? event.target.closest("g[data-told]") : null;
        show(columns.indexOf(column));
        if (from === null) return;
        const now = share(event);
        brush.style.left = Math.min(from, now) * 100 + "%";
        brush.style.right = (1 - Math.max(from, now)) * 100 + "%";
      });
      plot.addEventListener("pointerleave", () => { if (document.activeElement !== plot) show(-1); });
      if (!("since" in plot.dataset)) continue;
      const stop = () => {
        if (brush !== null) brush.remove();
        from = brush = null;
      };
      plot.addEventListener("pointerdown", (event) => {
        if (event.button !== 0 || event.pointerType === "touch") return;
        from = share(event);
        brush = document.createElement("div");
        brush.className = "brush";
        brush.style.left = from * 100 + "%";
        brush.style.right = (1 - from) * 100 + "%";
        plot.append(brush);
        plot.setPointerCapture(event.pointerId);
        event.preventDefault();
      });
      plot.addEventListener("pointercancel", stop);
      plot.addEventListener("pointerup", (event) => {
        if (from === null) return;
        const [first, last] = [from, share(event)].sort((one, other) => one - other);
        stop();
        if (last - first < 0.01) return;
        const since = Number(plot.dataset.since), wide = Number(plot.dataset.until) - since, minute = 60000;
        const asked = new URLSearchParams(location.search);
        for (const name of ["range", "since", "until", "before", "offset"]) asked.delete(name);
        asked.set("from", String(Math.floor((since + first * wide) / minute) * minute));
        asked.set("to", String(Math.ceil((since + last * wide) / minute) * minute));
        location.search = asked.toString();
      });
    }
  };

  // The last part of a search is completed from what the server offers.
  const completion = () => {
    const input = document.querySelector("input[name=q][list]");
    if (input === null) return;
    const offered = [...document.getElementById(input.getAttribute("list")).options].map((option) => option.value);
    const list = document.createElement("ul");
    let chosen = -1;
    list.id = "completions";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "What can be searched for");
    list.hidden = true;
    input.removeAttribute("list");
    input.parentElement.classList.add("combo");
    input.parentElement.after(list);
    input.parentElement.append(list);
    for (const [name, value] of [["role", "combobox"], ["aria-expanded", "false"], ["aria-controls", list.id], ["aria-autocomplete", "list"]]) input.setAttribute(name, value);
    const close = () => {
      list.hidden = true;
      chosen = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    };
    const word = () => {
      const before = input.value.slice(0, input.selectionStart);
      return before.slice(Math.max(before.lastIndexOf(" "), before.lastIndexOf("-") === before.lastIndexOf(" ") + 1 ? before.lastIndexOf("-") : -1) + 1);
    };
    const take = (text) => {
      const end = input.selectionStart, rest = input.value.slice(end), begin = input.value.slice(0, end - word().length);
      const done = text.endsWith(":") ? text : text + " ";
      input.value = begin + done + rest.trimStart();
      input.setSelectionRange((begin + done).length, (begin + done).length);
      input.focus();
      text.endsWith(":") ? open() : close();
    };
    const mark = (index) => {
      const options = [...list.children];
      chosen = options.length === 0 ? -1 : (index + options.length) % options.length;
      options.forEach((option, place) => option.setAttribute("aria-selected", String(place === chosen)));
      if (chosen < 0) return;
      input.setAttribute("aria-activedescendant", options[chosen].id);
      options[chosen].scrollIntoView({ block: "nearest" });
    };
    const open = () => {
      const typed = word().toLowerCase();
      const inName = !typed.includes(":");
      const found = offered.filter((text) => text.toLowerCase().startsWith(typed) && text.toLowerCase() !== typed && (!inName || text.endsWith(":"))).slice(0, 30);
      close();
      list.replaceChildren(...found.map((text, place) => {
        const option = document.createElement("li");
        option.id = "completion-" + place;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.textContent = text;
        option.addEventListener("mousedown", (event) => { event.preventDefault(); take(text); });
        return option;
      }));
      list.hidden = found.length === 0;
      input.setAttribute("aria-expanded", String(!list.hidden));
    };
    input.addEventListener("input", open);
    input.addEventListener("click", open);
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && list.hidden) open();
      if (list.hidden) return;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        mark(event.key === "ArrowDown" ? chosen + 1 : chosen < 0 ? -1 : chosen - 1);
      } else if (event.key === "Enter" && chosen >= 0 || event.key === "Tab" && chosen >= 0) {
        event.preventDefault();
        take(list.children[chosen].textContent);
      } else if (event.key === "Escape") {
        event.preventDefault();
        close();
      }
    });
  };

  localTimes(document);
  timeFields();
  charts(document);
  completion();
  showCurrent();
  selectAll();
  rules();
  theme();
  keys();
  uploads();
  live();
})();
