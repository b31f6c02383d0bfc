"use strict";
(() => {
  const holder = document.getElementById("data-circuits");
  const view = document.getElementById("circuits-view");
  if (!holder || !view) return;
  const { tasks, circuits, prompts, cards, texts } = JSON.parse(holder.textContent);
  const at = (name) => document.getElementById(`circuits-${name}`);
  const whole = new Intl.NumberFormat("en");
  const short = (value) => {
    if (value === null || value === undefined) return "\u2013";
    const text = Math.abs(value) >= 100 ? whole.format(Math.round(value)) : String(Number(value.toPrecision(3)));
    return text.replace("-", "\u2212");
  };
  const counted = (number, noun) => `${whole.format(number)} ${noun}${number === 1 ? "" : "s"}`;
  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  const drawn = (tag, attributes = {}, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  // Geometry: the inputs at the bottom, a label above the first line of each site

  const MARGIN = 14, FOLDED = 24, LEAST = 46, MOST = 84, USUAL = 430;
  const SHAPES = {
    terminal: (r) => `M${-2.2 * r} ${-0.6 * r}h${4.4 * r}v${1.2 * r}h${-4.4 * r}z`,
    query: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    key: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    value: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    residual_read: (r) => `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0z`,
    residual_write: (r) => `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0z`,
    error: (r) => `M0 ${-1.2 * r}L${1.2 * r} ${0.9 * r}L${-1.2 * r} ${0.9 * r}z`,
  };
  const circle = (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  const KINDS = {
    residual_read: "residual channel read", residual_write: "residual channel written", terminal: "end of the graph",
  };
  const STYLES = [
    { name: "positive", variable: "--positive", dash: [] },
    { name: "negative", variable: "--negative", dash: [6, 4] },
    { name: "neither", variable: "--muted", dash: [] },
    { name: "opaque", variable: "--muted", dash: [1.5, 4] },
  ];
  const WIDTHS = [0.6, 1, 1.6, 2.3, 3.2, 4.2];
  const stepsOf = (lines) => {
    const labelled = Math.max(LEAST, Math.min(MOST, USUAL / lines.filter(Boolean).length));
    return lines.map((label, line) => (lines[line + 1] === "" ? FOLDED : labelled));
  };

  class Graph {
    constructor({ drawing }) {
      const { nodes, edges, lines, all } = drawing;
      this.lines = lines;
      this.all = all;
      this.nodes = nodes.name.map((name, number) => ({
        number, name: texts[name], text: name, kind: texts[nodes.kind[number]], x: nodes.x[number],
        line: nodes.line[number], effect: nodes.effect[number], reads: [], writes: [],
      }));
      const sizes = edges.size ?? edges.weight.map((weight) => (weight === null ? null : Math.abs(weight)));
      this.byFlow = Boolean(edges.size);
      this.largest = Math.max(1e-30, ...sizes.map((size) => size ?? 0));
      this.edges = edges.source.map((source, number) => {
        const size = sizes[number];
        const edge = {
          source: this.nodes[source], target: this.nodes[edges.target[number]], weight: edges.weight[number], size,
          verified: edges.verified[number],
          style: edges.weight[number] === null ? 3 : { "+": 0, "-": 1, 0: 2 }[edges.sign[number]],
          width: size === null ? 0 : Math.min(WIDTHS.length - 1, Math.floor(Math.sqrt(size / this.largest) * WIDTHS.length)),
        };
        edge.source.writes.push(edge);
        edge.target.reads.push(edge);
        return edge;
      });
      this.knowsVerified = edges.verified.includes("0") || edges.verified.includes("1");
    }

    place(width) {
      const steps = stepsOf(this.lines), heights = [];
      const height = 2 * MARGIN + 24 + steps.slice(0, -1).reduce((sum, step) => sum + step, 0);
      let y = height - MARGIN;
      for (const step of steps) {
        heights.push(y);
        y -= step;
      }
      const perLine = new Map();
      for (const node of this.nodes) perLine.set(node.line, (perLine.get(node.line) ?? 0) + 1);
      const most = Math.max(...perLine.values());
      this.radius = Math.max(2.5, Math.min(7, (0.4 * (width - 2 * MARGIN)) / Math.max(most, 12)));
      for (const node of this.nodes) {
        node.px = MARGIN + node.x * (width - 2 * MARGIN);
        node.py = heights[node.line];
      }
      this.heights = heights;
      return height;
    }

    shown(most, verifiedAlone) {
      const possible = verifiedAlone && this.knowsVerified ? this.edges.filter((edge) => edge.verified === "1") : this.edges;
      return possible.slice(0, most);
    }
  }

  // Edges: a few hundred per frame, the widest first and on top, so that thousands of them stop nothing

  const PER_FRAME = 250;
  class Painter {
    constructor(canvas) {
      this.canvas = canvas;
      this.left = [];
    }

    paint(edges, width, height) {
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
      if (this.canvas.width !== across || this.canvas.height !== down) Object.assign(this.canvas, { width: across, height: down });
      this.context = this.canvas.getContext("2d");
      this.context.setTransform(scale, 0, 0, scale, 0, 0);
      this.context.clearRect(0, 0, width, height);
      this.context.globalCompositeOperation = "destination-over";
      this.context.globalAlpha = edges.length > 400 ? 0.6 : 0.85;
      const variables = getComputedStyle(document.documentElement);
      this.colours = STYLES.map((style) => variables.getPropertyValue(style.variable).trim());
      this.left = edges;
      this.begun = 0;
      cancelAnimationFrame(this.frame);
      this.step();
    }

    step() {
      const { context } = this, paths = new Map();
      const edges = this.left.slice(this.begun, this.begun + PER_FRAME);
      for (const edge of edges) {
        const group = edge.style + STYLES.length * edge.width;
        if (!paths.has(group)) paths.set(group, new Path2D());
        const path = paths.get(group), { source, target } = edge, bend = (source.py - target.py) / 2.5;
        path.moveTo(source.px, source.py);
        path.bezierCurveTo(source.px, source.py - bend, target.px, target.py + bend, target.px, target.py);
      }
      for (const group of [...paths.keys()].sort((one, other) => other - one)) {
        const style = STYLES[group % STYLES.length];
        context.strokeStyle = this.colours[group % STYLES.length];
        context.lineWidth = WIDTHS[Math.floor(group / STYLES.length)];
        context.setLineDash(style.dash);
        context.lineCap = style.name === "opaque" ? "round" : "butt";
        context.stroke(paths.get(group));
      }
      this.begun += edges.length;
      if (this.begun < this.left.length) this.frame = requestAnimationFrame(() => this.step());
    }

    finish() {
      cancelAnimationFrame(this.frame);
      while (this.begun < this.left.length) this.step();
      cancelAnimationFrame(this.frame);
    }
  }

  // Text: examples with the token between its marks

  const marked = (line) => {
    const [, before, token, after] = line.match(/^([^]*?)\u27e6([^]*?)\u27e7([^]*)$/) ?? [null, line, null, ""];
    return token === null ? [line] : [before, element("mark", { textContent: token }), after];
  };
  const BANDS = ["high", "middle", "low"];
  const definitions = (pairs) => {
    const list = element("dl");
    for (const [name, value] of pairs) if (value !== null) list.append(element("dt", { textContent: name }), element("dd", {}, value));
    return list;
  };
  const meaning = (known) => (known && known.words !== undefined ? texts[known.words] : "");
  const scoreOf = (known) => {
    if (!known || !known.score) return null;
    const [value, low, high] = known.score;
    return `${short(value)}${low === null ? "" : ` [${short(low)}, ${short(high)}]`} when its concept's labels take its place (1: as good as the node)`;
  };
  const effectOf = (node) =>
    node.kind === "terminal" ? null : node.effect === null ? "not measured" : `task loss ${node.effect < 0 ? "" : "+"}${short(node.effect)} nats`;

  class Side {
    constructor(number) {
      this.number = number;
      this.select = element("select", { ariaLabel: `Circuit ${number === 0 ? "on the left" : "on the right"}` });
      this.scored = element("p", { className: "scored" });
      this.told = element("p", { className: "counted" });
      this.picture = element("div", { className: "picture" });
      this.base = element("canvas", { className: "base", ariaHidden: "true" });
      this.lit = element("canvas", { className: "lit", ariaHidden: "true" });
      this.painters = { base: new Painter(this.base), lit: new Painter(this.lit) };
      this.svg = drawn("svg", { role: "group" });
      this.picture.append(this.base, this.lit, this.svg);
      this.card = element("div", { className: "card", ariaLive: "polite" });
      this.card.setAttribute("role", "status");
      this.none = element("p", { className: "none" });
      this.tables = element("div");
      this.root = element("div", { className: "side" }, this.select, this.scored, this.told, this.none, this.picture, this.card, this.tables);
      this.pinned = null;
      this.graph = null;
      this.select.addEventListener("change", () => { this.show(this.choices[this.select.selectedIndex]); showPrompt(); });
      this.svg.addEventListener("keydown", (event) => this.key(event));
      this.picture.addEventListener("click", (event) => {
        if (event.target === this.svg || event.target === this.picture) this.pin(null);
      });
      new ResizeObserver(() => this.resize()).observe(this.picture);
    }

    offer(choices, chosen) {
      this.choices = choices;
      this.select.replaceChildren(...choices.map((each) => element("option", { textContent: nameOf(each) })));
      this.select.selectedIndex = choices.indexOf(chosen);
      this.show(chosen);
    }

    show(circuit) {
      this.circuit = circuit;
      this.pinned = null;
      this.scored.replaceChildren(...circuit.scores.flatMap(([label, text], number) => [
        number ? " \u00b7 " : "", `${label} `, element("b", { textContent: text }),
      ]));
      this.graph = circuit.drawing ? new Graph(circuit) : null;
      for (const each of [this.picture, this.told, this.card, this.tables]) each.hidden = !this.graph;
      this.none.hidden = Boolean(this.graph);
      if (!this.graph) {
        const why = circuit.reason ? `: ${circuit.reason}` : "";
        this.none.textContent = circuit.status === "ok" ? "This circuit cannot be drawn; see below." : `No circuit: ${circuit.status.replaceAll("_", " ")}${why}.`;
        return;
      }
      this.width = 0;
      this.build();
      this.resize();
      this.light(null);
    }

    build() {
      const { nodes } = this.graph;
      this.svg.setAttribute("aria-label", `${nameOf(this.circuit)}. Arrow keys move between nodes, Enter pins one, Escape frees it.`);
      this.labels = this.graph.lines.map((label) => drawn("text", { class: "line", "aria-hidden": "true" }, label));
      this.marks = nodes.map((node) => {
        const known = this.known(node);
        const parts = [node.name, KINDS[node.kind] ?? node.kind, meaning(known), effectOf(node),
          `reads ${node.reads.length}, writes ${node.writes.length}`].filter(Boolean);
        const mark = drawn("g", {
          class: `node${meaning(known) ? " named" : ""}`, role: "button", tabindex: "-1", "aria-pressed": "false",
          "aria-label": parts.join("; "),
        }, drawn("circle", { class: "area" }), drawn("path", { class: "mark" }), drawn("circle", { class: "ring" }));
        mark.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse" && !this.pinned) this.light(node); });
        mark.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !this.pinned) this.light(null); });
        mark.addEventListener("focus", () => { if (!this.pinned) this.light(node); });
        mark.addEventListener("blur", () => { if (!this.pinned) this.light(null); });
        mark.addEventListener("click", () => { this.reach(node); this.pin(this.pinned === node ? null : node); });
        return mark;
      });
      this.nameText = drawn("text", { class: "name", "text-anchor": "middle", "aria-hidden": "true" });
      this.svg.replaceChildren(...this.labels, ...this.marks, this.nameText);
      if (this.marks.length) this.reach(this.graph.nodes[0], false);
      this.tables.replaceChildren(this.table("nodes", () => this.nodeTable()), this.table("edges", () => this.edgeTable()));
    }

    known(node) { return cards[this.circuit.model][String(node.text)]; }

    resize() {
      const width = this.picture.clientWidth;
      if (!this.graph || !width || width === this.width) return;
      this.width = width;
      this.height = this.graph.place(width);
      this.picture.style.height = `${this.height}px`;
      this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
      this.labels.forEach((label, line) => {
        label.setAttribute("x", 2);
        label.setAttribute("y", this.graph.heights[line] - 15);
      });
      const { radius } = this.graph;
      this.graph.nodes.forEach((node, number) => {
        const mark = this.marks[number];
        mark.setAttribute("transform", `translate(${node.px.toFixed(1)} ${node.py.toFixed(1)})`);
        const [area, shape, ring] = mark.children;
        area.setAttribute("r", Math.max(radius + 1, Math.min(12, radius + 4)));
        shape.setAttribute("d", (SHAPES[node.kind] ?? circle)(radius));
        ring.setAttribute("r", radius + 4);
      });
      this.draw();
    }

    draw() {
      if (!this.graph || !this.width) return;
      const most = edgesAsked(), verified = at("verified").checked;
      const shown = this.graph.shown(most, verified);
      this.shownEdges = shown;
      this.painters.base.paint(shown, this.width, this.height);
      this.told.textContent = this.count(shown, verified && this.graph.knowsVerified);
      this.light(this.pinned ?? this.lighted ?? null);
      for (const details of this.tables.children) if (details.open) details.fill();
    }

    count(shown, verified) {
      const { all, edges, byFlow, nodes } = this.graph;
      const size = shown.reduce((sum, edge) => sum + (edge.size ?? 0), 0);
      const share = all.size > 0 ? `, ${short((100 * size) / all.size)} % of ${byFlow ? "all that flows" : "the sum of their sizes"}` : "";
      const least = shown.length < all.edges;
      const which = byFlow ? "those along which most flows" : "those of the largest weights";
      const kept = nodes.filter((node) => node.kind !== "terminal").length;
      const parts = [
        least
          ? `Showing ${whole.format(shown.length)} of ${counted(all.edges, "edge")}: ${verified ? "verified edges, " : ""}${which}${share}.`
          : `Showing ${all.edges === 1 ? "the only edge" : `all ${counted(all.edges, "edge")}`}.`,
        kept < all.nodes ? `Showing ${whole.format(kept)} of ${counted(all.nodes, "node")}.` : "",
        all.opaque ? `${counted(all.opaque, "edge")} run${all.opaque === 1 ? "s" : ""} through opaque blocks and ha${all.opaque === 1 ? "s" : "ve"} no weight; they are drawn last.` : "",
        edges.length < all.edges ? `The page holds ${whole.format(edges.length)} of them.` : "",
      ];
      return parts.filter(Boolean).join(" ");
    }

    light(node) {
      this.lighted = node;
      const started = this.litMarks ?? [];
      for (const mark of started) mark.classList.remove("lit", "chosen");
      this.litMarks = [];
      this.picture.classList.toggle("lighting", Boolean(node));
      this.nameText.textContent = "";
      if (!node) {
        if (this.litEdges) this.painters.lit.paint([], this.width, this.height);
        this.litEdges = false;
        this.fillCard(null);
        return;
      }
      const edges = [...node.reads, ...node.writes];
      this.painters.lit.paint(edges, this.width, this.height);
      this.litEdges = true;
      const mark = (each, name) => { this.marks[each.number].classList.add(name); this.litMarks.push(this.marks[each.number]); };
      for (const edge of edges) mark(edge.source === node ? edge.target : edge.source, "lit");
      mark(node, "chosen");
      this.nameText.textContent = node.name;
      const room = Math.min(this.width - 8, Math.max(8, node.px));
      this.nameText.setAttribute("x", Math.min(this.width - 3.2 * node.name.length, Math.max(3.2 * node.name.length, room)));
      this.nameText.setAttribute("y", node.py - this.graph.radius - 6);
      this.fillCard(node);
    }

    fillCard(node) {
      this.card.classList.toggle("some", Boolean(node));
      if (!node) {
        const hint = "Point at a node, or reach one with Tab and the arrow keys, to see what it means. A click or Enter pins it and lights what it reads from and writes to; Escape frees it. Filled nodes stand for a concept.";
        this.card.replaceChildren(element("p", { className: "hint", textContent: hint }));
        return;
      }
      const known = this.known(node);
      const heading = element("p", { className: "title" }, element("b", { textContent: node.name }), element("small", { textContent: KINDS[node.kind] ?? node.kind }));
      const rows = [
        ["meaning", meaning(known) || (node.kind === "terminal" ? "all token embeddings, or all logits, as one" : "no concept is known")],
        ["label score", scoreOf(known)],
        ["ablated alone", effectOf(node)],
        ["read", known && known.sign < 0 ? "with the opposite sign: its low values count as high" : null],
        ...(known ? BANDS.map((band, number) => [`${band}, ${short(100 * known.shares[number])} % of tokens`, this.exampleList(known.lines[number])]) : []),
        ["reads from", this.joined(node.reads, "source")],
        ["writes to", this.joined(node.writes, "target")],
      ];
      this.card.replaceChildren(heading, definitions(rows));
    }

    exampleList(lines) {
      if (!lines.length) return element("span", { className: "hint", textContent: "nowhere in the text that was searched" });
      return element("ul", { className: "lines" }, ...lines.map((line) => element("li", {}, ...marked(texts[line]))));
    }

    joined(edges, end) {
      if (!edges.length) return "nothing in the circuit";
      const list = element("ul", { className: "joined" });
      for (const edge of edges.slice(0, 5)) {
        const other = edge[end];
        const told = edge.weight === null ? "opaque" : `${edge.weight > 0 && edge.style !== 2 ? "+" : ""}${short(edge.weight)}`;
        const button = element("button", { type: "button", textContent: other.name });
        button.addEventListener("click", () => { this.reach(other); this.pin(other); });
        list.append(element("li", {}, button, " ", element("span", { className: STYLES[edge.style].name, textContent: told })));
      }
      if (edges.length > 5) list.append(element("li", { textContent: `and ${whole.format(edges.length - 5)} more` }));
      return list;
    }

    pin(node) {
      if (this.pinned) this.marks[this.pinned.number].setAttribute("aria-pressed", "false");
      this.pinned = node;
      if (node) this.marks[node.number].setAttribute("aria-pressed", "true");
      this.light(node);
    }

    reach(node, focus = true) {
      if (this.current !== undefined) this.marks[this.current]?.setAttribute("tabindex", "-1");
      this.current = node.number;
      this.marks[node.number].setAttribute("tabindex", "0");
      if (focus) this.marks[node.number].focus({ preventScroll: false });
    }

    key(event) {
      const { nodes } = this.graph, node = nodes[this.current];
      const line = nodes.filter((each) => each.line === node.line).sort((one, other) => one.x - other.x);
      const place = line.indexOf(node);
      const beside = (step) => line[Math.min(line.length - 1, Math.max(0, place + step))];
      const above = (step) => {
        for (let other = node.line + step; other >= 0 && other < this.graph.lines.length; other += step) {
          const there = nodes.filter((each) => each.line === other);
          if (there.length) return there.reduce((best, each) => (Math.abs(each.x - node.x) < Math.abs(best.x - node.x) ? each : best));
        }
        return node;
      };
      const moves = {
        ArrowLeft: () => beside(-1), ArrowRight: () => beside(1), ArrowUp: () => above(1), ArrowDown: () => above(-1),
        Home: () => line[0], End: () => line[line.length - 1],
      };
      if (moves[event.key]) this.reach(moves[event.key]());
      else if (event.key === "Enter" || event.key === " ") this.pin(this.pinned === node ? null : node);
      else if (event.key === "Escape") this.pin(null);
      else return;
      event.preventDefault();
    }

    table(what, make) {
      const body = element("div", { className: "scroll", tabIndex: 0 });
      body.setAttribute("role", "region");
      body.setAttribute("aria-label", `Table of ${what}`);
      const details = element("details", { className: "behind" }, element("summary", { textContent: `Table of ${what}` }), body);
      details.fill = () => body.replaceChildren(make());
      details.addEventListener("toggle", () => (details.open ? details.fill() : body.replaceChildren()));
      return details;
    }

    nodeTable() {
      const rows = this.graph.nodes.map((node) => [
        node.name, KINDS[node.kind] ?? node.kind, meaning(this.known(node)), node.effect === null ? "" : short(node.effect),
        whole.format(node.reads.length), whole.format(node.writes.length),
      ]);
      const caption = `Nodes of ${nameOf(this.circuit)}; effects are rises of the task loss on ${counted(this.circuit.pairs, "pair")} of test prompts`;
      return tableOf(caption, ["Node", "Kind", "Meaning", "Effect when ablated (nats)", "Reads", "Writes"], rows, [3, 4, 5]);
    }

    edgeTable() {
      const rows = this.shownEdges.map((edge) => [
        edge.source.name, edge.target.name, edge.weight === null ? "opaque" : short(edge.weight),
        this.graph.byFlow ? short(edge.size) : "", { 1: "yes", 0: "no", "?": "not known" }[edge.verified],
      ]);
      const caption = `Edges drawn of ${nameOf(this.circuit)}: ${whole.format(rows.length)} of ${whole.format(this.graph.all.edges)}`;
      return tableOf(caption, ["From", "To", "Weight", "Flows along it", "Verified"], rows, [2, 3]);
    }
  }

  const tableOf = (caption, heads, rows, numeric) => {
    const cell = (tag, text, column) => element(tag, { textContent: text, className: numeric.includes(column) ? "number" : "" });
    const head = element("tr", {}, ...heads.map((text, column) => Object.assign(cell("th", text, column), { scope: "col" })));
    const body = rows.map((row) => element("tr", {}, ...row.map((text, column) =>
      column ? cell("td", text, column) : Object.assign(cell("th", text, column), { scope: "row" }))));
    return element("table", {}, element("caption", { textContent: caption }), element("thead", {}, head), element("tbody", {}, ...body));
  };

  // What is chosen

  const sides = [new Side(0), new Side(1)];
  at("sides").append(...sides.map((side) => side.root));
  const rankings = new Set(circuits.map((each) => each.ranking));
  const nameOf = (circuit) => {
    const size = circuit.scores.find(([label]) => label === "edges");
    const told = circuit.drawing && size ? `, ${size[1]} edges` : `, ${circuit.status.replaceAll("_", " ")}`;
    const ranking = rankings.size > 1 ? `, ${circuit.ranking}` : "";
    return `${circuit.method} (${circuit.variant}), ${circuit.graph} graph${ranking}${told}`;
  };
  const targetsOf = (task) => [...new Set(circuits.filter((each) => each.task === task).map((each) => each.target))].sort((one, other) => one - other);
  const most = () => Math.max(10, ...sides.map((side) => side.graph?.edges.length ?? 0));
  const edgesAsked = () => {
    const position = Number(at("most").value), limit = most();
    return position >= 100 ? limit : Math.round(10 * (limit / 10) ** (position / 100));
  };
  const tellMost = () => { at("most-told").textContent = whole.format(edgesAsked()); };
  const START = 300;

  const showTarget = (previous) => {
    const task = tasks[at("task").selectedIndex][0];
    const target = targetsOf(task)[Number(at("target").value)];
    at("target-told").textContent = `${short(target)} nats`;
    const choices = circuits.filter((each) => each.task === task && each.target === target);
    const order = (each) => [each.drawing ? 0 : 1, each.graph === "unit" ? 0 : 1, each.drawing ? each.drawing.all.edges : 0];
    const best = [...choices].sort((one, other) => {
      const [a, b] = [order(one), order(other)];
      return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
    });
    const second = best.find((each) => each.method !== best[0].method && each.drawing) ?? best.find((each) => each !== best[0]) ?? best[0];
    const again = (side, other) => choices.find((each) => previous && side.circuit &&
      ["method", "variant", "graph", "ranking"].every((name) => each[name] === side.circuit[name])) ?? other;
    const chosen = [again(sides[0], best[0]), again(sides[1], second)];
    sides.forEach((side, number) => side.offer(choices, chosen[number]));
    if (!previous) {
      const limit = most();
      at("most").value = limit <= START ? 100 : Math.round((100 * Math.log(START / 10)) / Math.log(limit / 10));
    }
    at("verifying").hidden = !sides.some((side) => side.graph?.knowsVerified);
    tellMost();
    sides.forEach((side) => side.draw());
    showPrompts();
  };
  const showTask = (previous) => {
    const [task, summary] = tasks[at("task").selectedIndex];
    const targets = targetsOf(task);
    at("summary").replaceChildren(`${task}: `, ...summary.split("`").map((part, place) => (place % 2 ? element("code", { textContent: part }) : part)), ".");
    at("targets").hidden = targets.length < 2;
    at("target").max = String(targets.length - 1);
    at("target").value = "0";
    showTarget(previous);
  };

  // A prompt: the logits of its two answers

  const promptsShown = () => {
    const side = sides.find((each) => each.circuit?.drawing);
    return side ? prompts[side.circuit.prompts] : [];
  };
  const quoted = (text) => JSON.stringify(text).slice(1, -1);
  const showPrompts = () => {
    const shown = promptsShown();
    for (const name of ["prompt-title", "prompt-text", "answers"]) at(name).hidden = !shown.length;
    at("prompt").parentElement.hidden = !shown.length;
    at("prompt").replaceChildren(...shown.map(([text, answer], number) => {
      const last = text.trimEnd().split("\n").at(-1).trim();
      return element("option", { textContent: `${number + 1}: \u2026${last.slice(-44)} \u2192 ${quoted(answer)}` });
    }));
    showPrompt();
  };
  const showPrompt = () => {
    const shown = promptsShown(), number = Math.max(0, at("prompt").selectedIndex);
    if (!shown.length) return;
    const [text, answer, other] = shown[number];
    at("prompt-text").replaceChildren(text, element("mark", { textContent: quoted(answer), title: "the answer" }));
    const rows = [];
    for (const side of sides) {
      const { circuit } = side;
      if (!circuit.drawing || prompts[circuit.prompts] !== shown) continue;
      const [wholeAnswer, wholeOther, answerIn, otherIn] = circuit.answers[number];
      const told = (where, one, two) => [`${circuit.method} (${circuit.variant}), ${where}`, short(one), short(two), short(one - two),
        short(1 / (1 + Math.exp(two - one)))];
      rows.push(told("whole model", wholeAnswer, wholeOther), told(`${circuit.graph} circuit`, answerIn, otherIn));
    }
    const heads = ["Model", `Logit of ${quoted(answer)}, the answer`, `Logit of ${quoted(other)}, the alternative`, "Difference", "Probability of the answer, of the two"];
    at("answers").replaceChildren(tableOf("Logits of the answer in the whole model and in the circuit", heads, rows, [1, 2, 3, 4]));
  };

  at("task").replaceChildren(...tasks.map(([name]) => element("option", { textContent: name })));
  const first = tasks.findIndex(([name]) => circuits.some((each) => each.task === name && each.drawing));
  at("task").selectedIndex = Math.max(0, first);
  at("task").addEventListener("change", () => showTask(true));
  at("target").addEventListener("input", () => showTarget(true));
  at("most").addEventListener("input", () => { tellMost(); sides.forEach((side) => side.draw()); });
  at("verified").addEventListener("change", () => sides.forEach((side) => side.draw()));
  at("prompt").addEventListener("change", showPrompt);
  document.addEventListener("themechange", () => sides.forEach((side) => side.draw()));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") sides.forEach((side) => side.pinned && side.pin(null)); });
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = sides.flatMap((side) => [...side.tables.children]).filter((each) => !each.open);
    for (const side of sides) {
      for (const details of side.tables.children) {
        details.open = true;
        details.fill();
      }
      for (const painter of Object.values(side.painters)) painter.finish();
    }
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
  view.hidden = false;
  showTask(false);
})();
