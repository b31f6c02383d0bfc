"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // Theme: that of the system until the button is pressed

  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
  const printing = matchMedia("print");
  const isDark = () => !printing.matches && (root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark.matches);
  const themeButton = document.getElementById("theme");
  const themeChanged = () => {
    themeButton.textContent = isDark() ? "Light colours" : "Dark colours";
    document.dispatchEvent(new CustomEvent("themechange", { detail: { dark: isDark() } }));
  };
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    themeChanged();
  });
  systemIsDark.addEventListener("change", themeChanged);
  printing.addEventListener("change", themeChanged);
  themeButton.textContent = isDark() ? "Light colours" : "Dark colours";

  // Tables: sorted by the button in a heading; what has no number stays last

  const sortKey = (row, column, numeric) => {
    const cell = row.cells[column];
    if (numeric) return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
    return cell.firstChild ? cell.firstChild.textContent.trim() : "";
  };
  const sortBy = (table, column) => {
    const heading = table.tHead.rows[0].cells[column];
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    const numeric = heading.classList.contains("number");
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row, at) => ({ row, at, key: sortKey(row, column, numeric) }));
    keyed.sort((one, other) => {
      if (one.key === null || other.key === null) return (one.key === null) - (other.key === null) || one.at - other.at;
      const order = numeric ? one.key - other.key : one.key.localeCompare(other.key);
      return (ascending ? order : -order) || one.at - other.at;
    });
    body.append(...keyed.map((each) => each.row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      const title = heading.firstChild;
      button.textContent = title.textContent.trim();
      title.replaceWith(button);
      button.addEventListener("click", () => sortBy(table, column));
    });
  }
  const containers = document.querySelectorAll(".scroll");
  const markScrolling = () => {
    for (const each of containers) each.toggleAttribute("tabindex", false);
    for (const each of containers) if (each.scrollWidth > each.clientWidth + 1) each.setAttribute("tabindex", "0");
  };
  markScrolling();
  addEventListener("resize", markScrolling);
  document.addEventListener("toggle", markScrolling, true);

  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
    });
  }

  // Charts: drawn by plotly.js, which is unpacked when the first one comes into view

  const readJson = (element) => JSON.parse(element.textContent);
  let library;
  const loadLibrary = () => {
    library ??= (async () => {
      const packed = Uint8Array.from(atob(document.getElementById("chart-library").textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const script = document.createElement("script");
      script.textContent = await new Response(stream).text();
      document.head.append(script);
      return window.Plotly;
    })();
    return library;
  };

  const PATHS = {
    circle: "M14 8a4 4 0 1 1-8 0a4 4 0 1 1 8 0z", square: "M6 4h8v8h-8z", diamond: "M10 3l5 5l-5 5l-5-5z",
    "triangle-up": "M10 3l5 9h-10z", "triangle-down": "M10 13l5-9h-10z",
    cross: "M8.5 3h3v3.500h3.500v3h-3.500v3.500h-3v-3.500h-3.500v-3h3.500z",
    pentagon: "M10 3l5 3.600l-1.900 6h-6.200l-1.900-6z",
    star: "M10 2.500l1.600 3.700l4 .400l-3 2.700l.900 3.900l-3.500-2l-3.500 2l.900-3.900l-3-2.700l4-.400z",
  };
  const swatch = (series) => {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("viewBox", "0 0 20 16");
    picture.setAttribute("aria-hidden", "true");
    const colour = series.colours[Number(isDark())];
    const add = (d, attributes) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      for (const [name, value] of Object.entries(attributes)) path.setAttribute(name, value);
      picture.append(path);
    };
    const dash = series.emphasis === "secondary" ? { "stroke-dasharray": "3 2" } : {};
    if (series.line) add("M0 8h20", { stroke: colour, "stroke-width": 2, ...dash });
    const fill = series.emphasis === "secondary" ? "var(--paper)" : colour;
    const ring = series.emphasis === "highlight" ? "var(--ink)" : colour;
    add(PATHS[series.marker] || PATHS.circle, { fill, stroke: ring, "stroke-width": 1.5 });
    return picture;
  };

  const errors = (series, axis, colour) => {
    const values = series[axis], low = series[`${axis}_low`], high = series[`${axis}_high`];
    if (low.every((limit) => limit === null)) return undefined;
    return {
      type: "data", symmetric: false, thickness: 1.2, width: 3, color: colour,
      array: high.map((limit, at) => (limit === null ? 0 : Math.max(0, limit - values[at]))),
      arrayminus: low.map((limit, at) => (limit === null ? 0 : Math.max(0, values[at] - limit))),
    };
  };
  // Series beside each other at a category, so that their intervals do not hide one another
  const besides = (values, axis, at, count) =>
    axis.categories.length && count > 1 ? values.map((value) => value + (0.6 * (at + 0.5)) / count - 0.3) : values;

  const trace = (series, at, data, visible) => {
    const colour = series.colours[Number(isDark())];
    const open = series.emphasis === "secondary";
    const ringed = series.emphasis === "highlight";
    const count = data.series.length;
    return {
      type: "scatter", name: series.name, visible, mode: series.line ? "lines+markers" : "markers",
      x: besides(series.x, data.x, at, count), y: besides(series.y, data.y, at, count),
      text: series.text.map((text) => `${escaped(series.name)}<br>${escaped(text)}`), hoverinfo: "text",
      error_x: errors(series, "x", colour), error_y: errors(series, "y", colour),
      line: { color: colour, width: open ? 1.3 : 2, dash: open ? "dash" : "solid" },
      marker: {
        color: colour, symbol: series.marker + (open ? "-open" : ""), size: ringed ? 13 : 9,
        line: { color: ringed ? ink() : colour, width: ringed ? 2.5 : open ? 1.5 : 0 },
      },
    };
  };
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const ink = () => getComputedStyle(root).getPropertyValue("--ink").trim();
  const paper = () => getComputedStyle(root).getPropertyValue("--paper").trim();

  const axisLayout = (axis, margin, width, values, lines) => {
    const shared = {
      title: { text: escaped(axis.title), font: { size: 13 }, standoff: 8 }, automargin: margin, zeroline: false,
      showline: true, ticks: "outside", ticklen: 4, fixedrange: true, gridcolor: "#8888", linecolor: "#888",
    };
    if (axis.categories.length) {
      const names = axis.categories.map(escaped);
      const crowded = width / names.length < 7 * Math.max(12, ...names.map((name) => name.length));
      return {
        ...shared, tickvals: names.map((_, at) => at), ticktext: names, range: [-0.5, names.length - 0.5],
        tickangle: crowded ? -40 : 0, ticklabeloverflow: "allow", showgrid: false,
      };
    }
    const distinct = [...new Set(values)].sort((one, other) => one - other);
    const few = distinct.length <= 8 && distinct.every((value) => Number.isInteger(value));
    const ticks = few && lines ? { tickvals: distinct, ticktext: distinct.map((value) => value.toLocaleString("en")) } : {};
    if (!axis.log) return { ...shared, ...ticks };
    const decades = Math.log10(Math.max(...values) / Math.min(...values));
    return { ...shared, type: "log", dtick: decades > 2.5 ? 1 : "D2", tickformat: ",~r", ...ticks };
  };
  const layout = (data, width) => ({
    xaxis: axisLayout(data.x, "height", width, data.series.flatMap((each) => each.x), data.series.every((each) => each.line)),
    yaxis: axisLayout(data.y, "width", width, data.series.flatMap((each) => each.y), false), showlegend: false, autosize: true,
    margin: { l: 58, r: 12, t: 8, b: 48 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: ink() }, hovermode: "closest", dragmode: false,
    hoverlabel: { bgcolor: paper(), bordercolor: ink(), font: { color: ink(), size: 12 }, align: "left" },
  });

  const drawn = new Map();
  const draw = async (figure) => {
    if (drawn.has(figure)) return;
    const plot = figure.querySelector(".plot"), legend = figure.querySelector(".legend");
    const data = readJson(figure.querySelector('script[type="application/json"]'));
    const shown = data.series.map(() => true);
    const render = (width) => {
      const size = width ?? plot.clientWidth;
      const traces = data.series.map((series, at) => trace(series, at, data, shown[at]));
      return window.Plotly.react(plot, traces, { ...layout(data, size), width, autosize: width === undefined },
        { displayModeBar: false, responsive: true });
    };
    const showLegend = () => {
      legend.replaceChildren(...data.series.map((series, at) => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-pressed", String(shown[at]));
        button.append(swatch(series), series.name);
        button.addEventListener("click", () => {
          shown[at] = !shown[at];
          button.setAttribute("aria-pressed", String(shown[at]));
          render();
        });
        return button;
      }));
    };
    drawn.set(figure, { render, showLegend });
    showLegend();
    try {
      await loadLibrary();
      await render();
    } catch (error) {
      plot.remove();
      figure.querySelector("details").open = true;
    }
  };
  const redrawAll = (width) => {
    for (const { render, showLegend } of drawn.values()) {
      showLegend();
      if (window.Plotly) render(width);
    }
  };
  document.addEventListener("themechange", () => redrawAll());
  const printed = [...document.querySelectorAll("details.printed")];
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = printed.filter((each) => !each.open);
    for (const each of opened) each.open = true;
    redrawAll(680);
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    redrawAll();
  });

  const figures = [...document.querySelectorAll("figure.chart")];
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target).then(() => observer.unobserve(entry.target));
  }, { rootMargin: "300px" });
  for (const figure of figures) observer.observe(figure);
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 200));
  const drawNext = () => {
    const next = figures.find((figure) => !drawn.has(figure));
    if (next) draw(next).then(() => idle(drawNext));
  };
  addEventListener("load", () => setTimeout(() => idle(drawNext), 1500)); // the rest, so that all of them can be printed

  // Navigation: the section in view is marked

  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const current = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const link = links.get(entry.target.id);
      if (entry.isIntersecting) link?.setAttribute("aria-current", "true");
      else link?.removeAttribute("aria-current");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of document.querySelectorAll("main > section")) current.observe(section);
})();
