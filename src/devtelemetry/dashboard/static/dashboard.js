// What the pages need beside NiceGUI: colours, times of this browser's zone, the charts' texts, PNG.
// Loaded before the page is drawn, so that the colours are right from the first pixel on.
"use strict";
const dt = (() => {
  const THEMES = ["system", "light", "dark"];
  const NAMES = { system: "System", light: "Light", dark: "Dark" };
  const root = document.documentElement;
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

  function chosenTheme() {
    try {
      const theme = localStorage.getItem("devtelemetry-theme");
      return THEMES.includes(theme) ? theme : "system";
    } catch {
      return "system"; // no storage: it holds for this page
    }
  }

  let theme = chosenTheme();

  function applyTheme() {
    const dark = theme === "dark" || (theme === "system" && systemIsDark.matches);
    root.dataset.theme = dark ? "dark" : "light";
    for (const button of document.querySelectorAll("[data-theme-switch]")) nameTheme(button);
    if (typeof emitEvent === "function" && window.did_handshake) emitEvent("dt-colours");
  }

  function nameTheme(button) {
    const label = `Colours: ${theme === "system" ? "as the system" : NAMES[theme].toLowerCase()}. Switch`;
    if (button.getAttribute("aria-label") === label) return;
    button.setAttribute("aria-label", label);
    button.querySelector("[data-theme-name]").textContent = NAMES[theme];
  }

  // ---- times

  const zoneIsUtc = new Intl.DateTimeFormat().resolvedOptions().timeZone === "UTC";
  const withYear = (year) => ({
    local: new Intl.DateTimeFormat(undefined, {
      weekday: "short", day: "numeric", month: "short", year, hour: "2-digit", minute: "2-digit",
    }),
    utcTime: new Intl.DateTimeFormat("en-GB", {
      timeZone: "UTC", day: "numeric", month: "short", year, hour: "2-digit", minute: "2-digit",
    }),
  });
  // What was imported may be years old.
  const ofThisYear = withYear(undefined), ofOthers = withYear("numeric");
  const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });

  function zoneOf(moment) {
    return zone.formatToParts(moment).find((part) => part.type === "timeZoneName").value;
  }

  function inBoth(moment) {
    const isThisYear = moment.getFullYear() === new Date().getFullYear();
    const { local, utcTime } = isThisYear ? ofThisYear : ofOthers;
    const utc = `${utcTime.format(moment)} UTC`;
    return zoneIsUtc ? [utc, ""] : [`${local.format(moment)} ${zoneOf(moment)}`, utc];
  }

  function writeTime(element) {
    const [mine, utc] = inBoth(new Date(element.dateTime));
    element.dataset.written = element.dateTime;
    element.textContent = mine;
    if (utc) {
      const beside = document.createElement("span");
      beside.className = "utc";
      beside.textContent = ` · ${utc}`;
      element.append(beside);
    }
  }

  // ---- what the page's updates must not take away: focus, and what was unfolded

  let focused = null;
  addEventListener("focusin", (event) => {
    const element = event.target;
    focused = { element, href: element.getAttribute("href"), id: element.id };
  });

  function refocus() {
    if (!focused || focused.element.isConnected || document.activeElement !== document.body) return;
    const { href, id } = focused;
    focused = null;
    const found = id
      ? document.getElementById(id)
      : href && document.querySelector(`a[href="${CSS.escape(href)}"]`);
    found?.focus({ preventScroll: true });
  }

  function tend() {
    for (const element of document.querySelectorAll("time[datetime]")) {
      if (element.dataset.written !== element.dateTime) writeTime(element);
    }
    for (const button of document.querySelectorAll("[data-theme-switch]")) nameTheme(button);
    refocus();
  }

  applyTheme();
  systemIsDark.addEventListener("change", applyTheme);
  addEventListener("DOMContentLoaded", () => {
    new MutationObserver(tend).observe(document.body, { childList: true, subtree: true });
    tend();
  });
  addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-switch]")) return;
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try {
      localStorage.setItem("devtelemetry-theme", theme);
    } catch {}
    applyTheme();
  });

  return {
    color: (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim(),

    percent: (ratio) => `${+(100 * ratio).toFixed(2)} %`,

    tooltip: (series) => {
      // The row of the chart's data, in the order of charts.COLUMNS.
      const [start, settled, provisional, , lower, band, missing, corroborated] = series[0].data;
      const ratio = settled ?? provisional;
      const [mine, utc] = inBoth(new Date(start));
      const lines = [mine, ...(utc ? [utc] : [])];
      if (ratio === null) return [...lines, "no ratio"].join("\n");
      const percent = (share) => `${(100 * (share < 1 ? Math.min(share, 0.9999) : 1)).toFixed(2)} %`;
      lines.push(`${percent(ratio)} delivered`);
      lines.push(lower === null ? "95 % interval: too few to say" : `95 % interval ${percent(lower).slice(0, -2)}–${percent(lower + band)}`);
      lines.push(`${missing.toLocaleString()} of ${corroborated.toLocaleString()} missing`);
      if (settled === null) lines.push("provisional");
      return lines.join("\n");
    },

    lossTooltip: (series) => {
      // The row of the chart's data, in the order of charts.LOSS_COLUMNS; a name each from the legend.
      const [start, ...rest] = series[0].data;
      const [missing, corroborated] = rest.slice(-2);
      const [mine, utc] = inBoth(new Date(start));
      const lines = [mine, ...(utc ? [utc] : [])];
      if (!corroborated) return [...lines, "nothing to compare"].join("\n");
      lines.push(`${missing.toLocaleString()} of ${corroborated.toLocaleString()} missing`);
      for (const { seriesName, encode } of series) {
        const share = series[0].data[encode.y[0]];
        lines.push(`${seriesName} ${Math.round(share * corroborated).toLocaleString()} (${(100 * share).toFixed(2)} %)`);
      }
      return lines.join("\n");
    },

    png: (id, name) => {
      const chart = getElement(id).chart;
      const link = document.createElement("a");
      link.href = chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: dt.color("raised") });
      link.download = name;
      link.click();
    },
  };
})();
