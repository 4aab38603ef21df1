// What the script adds to pages that are complete without it: times in the browser's zone, a choice of
// colours, fresh figures, hints on charts, parts of a span by dragging, copies and pictures.
"use strict";
(() => {
  const root = document.documentElement;
  root.dataset.script = "";

  // ---- colours

  const THEMES = ["system", "light", "dark"];
  const NAMES = { system: "System", light: "Light", dark: "Dark" };

  function nameTheme() {
    const theme = root.dataset.theme;
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.setAttribute(
        "aria-label", `Colours: ${theme === "system" ? "as the system" : NAMES[theme].toLowerCase()}. Switch`,
      );
      button.querySelector("[data-theme-name]").textContent = NAMES[theme];
    }
  }

  function switchTheme() {
    root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    // A cookie, so that the server makes the next page in these colours.
    document.cookie = `devtelemetry_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
    nameTheme();
  }

  // ---- times

  const zoneIsUtc = new Intl.DateTimeFormat().resolvedOptions().timeZone === "UTC";
  const formats = (year) => ({
    local: new Intl.DateTimeFormat(undefined, {
      weekday: "short", day: "numeric", month: "short", year, hour: "2-digit", minute: "2-digit",
    }),
    utc: new Intl.DateTimeFormat("en-GB", {
      timeZone: "UTC", day: "numeric", month: "short", year, hour: "2-digit", minute: "2-digit",
    }),
  });
  // Imported samples may be years old.
  const ofThisYear = formats(undefined), ofOthers = formats("numeric");
  const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });

  function inBoth(moment) {
    const isThisYear = moment.getFullYear() === new Date().getFullYear();
    const { local, utc } = isThisYear ? ofThisYear : ofOthers;
    const inUtc = `${utc.format(moment)} UTC`;
    if (zoneIsUtc) return [inUtc, ""];
    const name = zone.formatToParts(moment).find((part) => part.type === "timeZoneName").value;
    return [`${local.format(moment)} ${name}`, inUtc];
  }

  function writeTime(element) {
    const [mine, utc] = inBoth(new Date(element.dateTime));
    element.dataset.written = element.dateTime;
    if (!element.classList.contains("both")) {
      if (utc) element.title = mine;
      return;
    }
    element.textContent = mine;
    if (!utc) return;
    const beside = document.createElement("span");
    beside.className = "utc";
    beside.textContent = ` · ${utc}`;
    element.append(beside);
  }

  function ago(moment) {
    const minutes = Math.floor((Date.now() - new Date(moment)) / 60000);
    if (minutes < 1) return "less than a minute";
    const parts = [[Math.floor(minutes / 1440), "d"], [Math.floor(minutes / 60) % 24, "h"], [minutes % 60, "min"]];
    const first = parts.findIndex(([count]) => count);
    return parts.slice(first, first + 2).filter(([count]) => count).map((part) => part.join(" ")).join(" ");
  }

  // ---- the present content of the page

  function tend() {
    for (const element of document.querySelectorAll("time[datetime]")) {
      if (element.dataset.written !== element.dateTime) writeTime(element);
    }
    for (const element of document.querySelectorAll("[data-ago]")) {
      const said = `${ago(element.dataset.ago)} ago`;
      if (element.textContent !== said) element.textContent = said;
    }
    for (const element of document.querySelectorAll("[data-copy]")) {
      if (element.nextElementSibling?.classList.contains("copy")) continue;
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "copy", textContent: "Copy" });
      element.after(button);
    }
  }

  async function copy(button) {
    const text = button.previousElementSibling.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // there is no clipboard over plain HTTP from another machine
      const field = document.createElement("textarea");
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Copied";
    button.focus();
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  // ---- fresh figures

  const LOOK_MS = 5000, ANSWER_MS = 4000; // so the viewer learns within 10 seconds that the server is gone
  let lostSince = null;

  function say(text, isBad) {
    const place = document.getElementById("connection");
    place.textContent = text;
    place.classList.toggle("bad", isBad);
  }

  function lost(why) {
    lostSince ??= new Date();
    const since = lostSince.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    say(`${why} since ${since}: what you see may be old. It is tried again.`, true);
  }

  async function look() {
    const shown = document.body.dataset.state;
    const ask = (path) => fetch(path, { cache: "no-store", signal: AbortSignal.timeout(path === "/fresh" ? ANSWER_MS : 60000) });
    let state;
    try {
      const answer = await ask("/fresh");
      if (answer.status === 401) return location.reload();
      if (answer.status === 429) return;
      if (!answer.ok) return lost("The database does not answer");
      state = await answer.text();
    } catch {
      return lost("No connection to the server");
    }
    if (lostSince) {
      lostSince = null;
      say("Connected again.", false);
    }
    if (state === shown) return;
    try {
      const answer = await ask(location.href);
      if (answer.status === 429 || answer.status >= 500) return;
      if (!answer.ok || answer.redirected) return location.reload();
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {} // the next look shows what is wrong
  }

  function show(fresh) {
    const open = [...document.querySelectorAll("details[open][id]")].map((one) => one.id);
    const focused = document.activeElement;
    const href = focused?.getAttribute("href"), id = focused?.id;
    const inside = focused?.closest("#page");
    const place = inside && [...inside.querySelectorAll("button, summary")].indexOf(focused);
    for (const name of ["until", "page"]) {
      document.getElementById(name).replaceChildren(...fresh.getElementById(name).childNodes);
    }
    document.title = fresh.title;
    document.body.dataset.state = fresh.body.dataset.state;
    for (const one of open) document.getElementById(one)?.setAttribute("open", "");
    tend();
    if (inside) {
      const page = document.getElementById("page");
      const found = (id && document.getElementById(id)) || (href && page.querySelector(`a[href="${CSS.escape(href)}"]`))
        || page.querySelectorAll("button, summary")[place];
      found?.focus({ preventScroll: true });
    }
    say("The figures were brought up to date.", false);
  }

  async function again() {
    if (document.body.dataset.state !== undefined && !document.hidden) await look();
    setTimeout(again, LOOK_MS);
  }

  // ---- charts

  let hint = null, drag = null, dragged = false;

  function saidOf(link) {
    const title = link.querySelector("title");
    if (title) { // the browser would show it beside the hint
      link.dataset.said = title.textContent;
      title.remove();
    }
    const [when, ...lines] = link.dataset.said.split("\n");
    const local = when.replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC/g, (_, day, time) => inBoth(new Date(`${day}T${time}Z`)).filter(Boolean).join("\n"));
    return [...local.split("\n"), ...lines].join("\n");
  }

  function showHint(plot, link, event) {
    const box = plot.getBoundingClientRect();
    if (!hint) {
      hint = document.createElement("div");
      hint.className = "hint";
      hint.setAttribute("aria-hidden", "true"); // the same is in the table
    }
    const said = saidOf(link);
    if (hint.textContent !== said) hint.textContent = said;
    if (hint.parentElement !== plot) plot.append(hint);
    const x = event.clientX - box.left;
    hint.classList.toggle("left", x > box.width / 2);
    hint.style.left = `${x}px`;
  }

  function momentAt(plot, clientX) {
    const { start, end, step } = plot.dataset;
    const box = plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
    const windows = (end - start) / step;
    return { share, number: share * windows, from: +start, step: +step, windows };
  }

  function dragTo(plot, clientX) {
    const here = momentAt(plot, clientX);
    const [low, high] = [drag.share, here.share].sort((a, b) => a - b);
    drag.box.style.left = `${100 * low}%`;
    drag.box.style.width = `${100 * (high - low)}%`;
    return here;
  }

  function zoomTo(plot, first, last) {
    const low = Math.floor(Math.min(first.number, last.number));
    const high = Math.max(low + 1, Math.ceil(Math.max(first.number, last.number)));
    const iso = (number) => new Date(first.from + number * first.step).toISOString().slice(0, 19) + "Z";
    location.assign(`${plot.dataset.zoom}&from=${iso(low)}&to=${iso(Math.min(high, first.windows))}#line`);
  }

  addEventListener("pointerdown", (event) => {
    const plot = event.target.closest?.(".plot");
    dragged = false;
    if (!plot || event.button !== 0) return;
    const box = document.createElement("div");
    box.className = "dragged";
    drag = { plot, x: event.clientX, box, ...momentAt(plot, event.clientX) };
  });
  addEventListener("pointermove", (event) => {
    if (drag && (dragged || Math.abs(event.clientX - drag.x) > 8)) {
      dragged = true;
      hint?.remove();
      if (!drag.box.isConnected) drag.plot.append(drag.box);
      dragTo(drag.plot, event.clientX);
      return;
    }
    const link = event.target.closest?.(".pieces a");
    if (link) showHint(link.closest(".plot"), link, event);
    else hint?.remove();
  });
  addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { plot, box } = drag;
    if (dragged) zoomTo(plot, drag, dragTo(plot, event.clientX));
    box.remove();
    drag = null;
  });
  addEventListener("pointercancel", () => {
    drag?.box.remove();
    drag = null;
  });
  addEventListener("dragstart", (event) => {
    if (event.target.closest?.(".plot")) event.preventDefault(); // else the browser drags a link
  });

  // ---- pictures

  const SVG = "http://www.w3.org/2000/svg";
  const LOOKS = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "vector-effect", "display"];

  function drawn(element) {
    const clone = element.cloneNode(true);
    const from = [element, ...element.querySelectorAll("*")], to = [clone, ...clone.querySelectorAll("*")];
    from.forEach((one, number) => {
      const looks = getComputedStyle(one);
      for (const name of LOOKS) to[number].setAttribute(name, looks.getPropertyValue(name));
    });
    return clone;
  }

  function made(name, attributes, text) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  async function savePicture(button) {
    const card = button.closest("[data-card]"), plot = card.querySelector(".plot");
    const looks = getComputedStyle(card), font = looks.fontFamily;
    const width = 1200, height = 480, left = 76, top = 104, right = 32, bottom = 44;
    const picture = made("svg", { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}` });
    picture.append(made("rect", { width, height, fill: looks.backgroundColor }));
    const text = (x, y, size, weight, said) => picture.append(
      made("text", { x, y, fill: looks.color, "font-family": font, "font-size": size, "font-weight": weight }, said),
    );
    const about = document.querySelector("h1.identifier bdi")?.textContent;
    text(left, 34, 19, 600, [card.querySelector("h2").textContent, about].filter(Boolean).join(" · "));
    text(left, 58, 14, 400, card.querySelector(".summary").textContent.trim().replace(/\s+/g, " "));
    let x = left;
    for (const key of card.querySelectorAll(".legend .key")) {
      const swatch = drawn(key.querySelector("svg"));
      for (const [name, value] of [["x", x], ["y", 73], ["width", 22], ["height", 10]]) swatch.setAttribute(name, value);
      picture.append(swatch);
      const said = key.textContent.trim();
      text(x + 28, 83, 13, 400, said);
      x += 28 + said.length * 7 + 24;
    }
    const chart = drawn(plot.querySelector(".drawing"));
    for (const [name, value] of [["x", left], ["y", top], ["width", width - left - right], ["height", height - top - bottom], ["overflow", "visible"]]) {
      chart.setAttribute(name, value);
    }
    picture.append(chart);
    const image = new Image();
    const address = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(picture)], { type: "image/svg+xml" }));
    image.src = address;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    canvas.toBlob((blob) => {
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: plot.dataset.chart });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  addEventListener("click", (event) => {
    const on = (selector) => event.target.closest?.(selector);
    if (on("[data-theme-switch]")) switchTheme();
    else if (on("button.copy")) copy(on("button.copy"));
    else if (on("[data-png]")) savePicture(on("[data-png]"));
    else if (dragged && on(".pieces a")) event.preventDefault();
  });
  addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

  nameTheme();
  tend();
  setInterval(tend, 30000);
  setTimeout(again, LOOK_MS);
})();
