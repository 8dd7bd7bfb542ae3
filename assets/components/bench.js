// The workbench of the page Review: cells by type, one of them large, and the labels.
//
// A decision is drawn at once. It stays in `outbox`, and is sent with every message, until Python
// has answered it; a rejected one disappears again and its reason is shown. What is on the screen
// is always `data` of Python with the decisions of the outbox on top. Each decision carries the
// ids of its cells and the version of the sample that was on the screen.
//
// Images come once: the component asks for what it lacks, the next cells first.
//
// The middle shows the chosen cell, or its field with a box around each white cell.
const MOMENT = 250; // milliseconds; nobody recognises a cell and acts in less
const AHEAD = 6; // cells whose images are fetched before they are shown
const PATIENCE = 5000; // milliseconds until a message without answer is sent again
const DELAY = 300; // milliseconds until a cell under the pointer is enlarged
const ENLARGED = 300; // CSS pixels, as in the style sheet
const TYPING = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable='true'], [role=combobox], [role=listbox], [role=slider], [role=dialog]";
const SVG = "http://www.w3.org/2000/svg";
const COMMENTS = "leukoscope_comments"; // where the tab keeps comments that are not sent yet
const benches = new WeakMap();

function button(className, text, press) {
  const node = element("button", className, text);
  node.type = "button";
  node.addEventListener("click", press);
  return node;
}

function drawing(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// The comments that are not sent yet, by cell. The tab keeps them until it is closed, so that a look at
// another view, a reload or an accidental Back loses none; a browser that forbids storage, until the
// page is left.
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(COMMENTS) ?? "{}");
  } catch {
    return {};
  }
}

const comments = {
  all: stored(),
  of: (cell) => comments.all[cell] ?? "",
  keep(cell, text) {
    if (text) comments.all[cell] = text;
    else delete comments.all[cell];
    try {
      sessionStorage.setItem(COMMENTS, JSON.stringify(comments.all));
    } catch {
      // They stay in `all`.
    }
  },
};

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Bench {
  constructor(parent) {
    this.images = new Map(); // by look, then by name: an <img>, a list of rows, or null
    this.places = new Map(); // of the cells in their fields, by id
    this.inField = false; // what the middle shows
    this.nodes = new Map(); // of the gallery, by id of the cell
    this.selected = new Set();
    this.outbox = [];
    this.at = 0;
    this.open = Infinity; // when labels are let through
    this.undoFrom = 0; // when Undo is let through
    this.build(parent);
    this.onKey = (event) => this.key(event);
    this.onLeave = (event) => (this.outbox.length || this.comment.value) && event.preventDefault();
    this.onResize = () => this.fit();
  }

  listen() {
    window.addEventListener("keydown", this.onKey, true);
    window.addEventListener("beforeunload", this.onLeave);
    window.addEventListener("resize", this.onResize);
  }

  end() {
    clearTimeout(this.timer);
    clearTimeout(this.hover);
    window.removeEventListener("keydown", this.onKey, true);
    window.removeEventListener("beforeunload", this.onLeave);
    window.removeEventListener("resize", this.onResize);
  }

  // Let the panes fill the window.
  fit() {
    const { top } = this.panes.getBoundingClientRect();
    const scrolled = document.querySelector('[data-testid="stMain"]')?.scrollTop ?? 0;
    const room = Math.max(window.innerHeight - top - scrolled - 10, 440);
    this.root.style.setProperty("--room", `${Math.round(room)}px`);
  }

  build(parent) {
    this.root = element("div", "bench");
    const bar = element("div", "bar");
    this.previous = button("step", "←", () => this.step(-1));
    this.previous.title = this.previous.ariaLabel = "Previous cell";
    this.next = button("step", "→", () => this.step(1));
    this.next.title = this.next.ariaLabel = "Next cell";
    this.undoButton = button("undo", "", () => this.undo());
    this.all = button("all", "All cells", () => {
      this.root.classList.toggle("open");
      this.draw();
    });
    this.blasts = button("blasts", "", () => this.showBlast());
    this.position = element("span", "position");
    this.notice = element("span", "notice");
    this.notice.setAttribute("role", "status");
    const ways = element("div", "ways");
    ways.setAttribute("role", "group");
    ways.setAttribute("aria-label", "Show");
    this.ways = ["Cell", "Field"].map((name, i) => {
      const node = button("way", name, () => this.showField(i === 1));
      node.title = "F changes between the cell and its field";
      return node;
    });
    ways.append(...this.ways);
    bar.append(this.previous, this.next, ways, this.undoButton, this.all, this.position, this.blasts, this.notice);
    this.strip = element("div", "strip");
    this.gallery = element("div", "gallery");
    this.gallery.setAttribute("role", "group");
    this.gallery.setAttribute("aria-label", "White cells by type");
    this.middle = element("div", "middle");
    this.middle.tabIndex = 0; // it scrolls where the window is low
    this.middle.setAttribute("role", "group");
    this.middle.setAttribute("aria-label", "The chosen cell");
    this.labels = element("div", "labels");
    this.labels.setAttribute("role", "group");
    this.labels.setAttribute("aria-label", "Labels");
    this.panes = element("div", "panes");
    this.panes.append(this.gallery, this.middle, this.labels);
    this.enlarged = element("figure", "enlarged");
    this.enlarged.append(element("img"), element("figcaption"));
    this.enlarged.hidden = true;
    this.root.append(bar, this.strip, this.panes, this.enlarged);
    this.gallery.addEventListener("scroll", () => this.hide(), { passive: true });
    this.buildMiddle();
    this.comment = element("input", "comment");
    this.comment.placeholder = "Comment, saved with the label";
    this.comment.ariaLabel = this.comment.placeholder;
    this.comment.maxLength = 500;
    this.comment.addEventListener("input", () => comments.keep(this.chosen, this.comment.value));
    parent.appendChild(this.root);
  }

  buildMiddle() {
    const figure = (className) => {
      const node = element("figure", className);
      node.append(element("div", "frame"), element("figcaption"));
      return node;
    };
    this.head = element("div", "head");
    this.large = figure("large");
    this.around = figure("around");
    this.pair = element("div", "pair");
    this.pair.append(this.large, this.around);
    this.references = element("div", "references");
    this.field = figure("field");
    this.middle.append(this.head, this.pair, this.references, this.field);
  }

  // --- what Python says -------------------------------------------------------------------------

  update(data, setStateValue) {
    this.set = setStateValue;
    if (this.data && data.scope !== this.data.scope) {
      this.chosen = null;
      this.selected.clear();
    }
    for (const { id, box } of data.cells) {
      const place = box.join();
      const before = this.places.get(id);
      this.places.set(id, place);
      if (before === undefined || before === place) continue;
      // Its box was moved: the images are of another place.
      for (const images of this.images.values()) for (const letter of "lsrt") images.delete(letter + id);
    }
    this.data = data;
    if (data.at >= this.at) this.waiting = false;
    const look = this.look();
    for (const [name, drawn] of Object.entries(data.images)) {
      if (typeof drawn !== "string") {
        look.set(name, drawn);
        continue;
      }
      const image = element("img");
      image.src = drawn;
      image.alt = "";
      image.draggable = false;
      image.decode().catch(() => {}); // so that it is shown at once later
      look.set(name, image);
    }
    const sent = this.outbox;
    this.outbox = sent.filter((one) => !(one.id in data.answers));
    for (const one of sent) {
      if (!(one.id in data.answers)) continue;
      const why = data.answers[one.id];
      if (one.undo) {
        this.undoing = null;
        this.undoFrom = Infinity;
        this.afterPaint(() => (this.undoFrom = performance.now() + MOMENT));
        this.say(why ?? `Undone: ${one.text}`, why !== null);
        this.open = Infinity;
        this.shown = null;
      } else if (why !== null) {
        this.say(`${one.text} not saved. ${why}`, true);
        this.choose(one.labels[0].cell);
        if (one.comment) comments.keep(this.chosen, one.comment);
      }
    }
    this.byId = new Map(data.cells.map((cell) => [cell.id, cell]));
    for (const id of this.selected) if (!this.byId.has(id)) this.selected.delete(id);
    if (!this.byId.has(this.chosen)) {
      const first = data.cells.find((cell) => cell.isStep) ?? data.cells[0];
      this.chosen = first.id;
      this.selected = new Set([first.id]);
    }
    this.listen();
    this.draw();
    this.fit();
    this.ask();
  }

  look() {
    if (!this.images.has(this.data.look)) this.images.set(this.data.look, new Map());
    return this.images.get(this.data.look);
  }

  // The labels that Python has not confirmed yet, by cell.
  pending() {
    const labels = new Map();
    for (const one of this.outbox) {
      for (const { cell, label } of one.labels ?? []) labels.set(cell, label);
    }
    return labels;
  }

  // --- what Python is told ----------------------------------------------------------------------

  post() {
    this.at = Math.max(this.at, this.data.at) + 1;
    this.waiting = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.waiting = false;
      if (this.outbox.length) this.post();
      else this.ask();
    }, PATIENCE);
    const outbox = this.outbox.map(({ text, ...one }) => one);
    this.set("said", { at: this.at, chosen: this.chosen, lacking: this.lacking(), outbox });
  }

  lacking() {
    const steps = this.steps();
    const place = steps.findIndex((cell) => cell.id === this.chosen);
    const ahead = steps.slice(place + 1, place + 1 + AHEAD);
    const before = place > 0 ? [steps[place - 1]] : [];
    const names = this.inField ? [`f${this.byId.get(this.chosen).field}`] : [];
    names.push(...["l", "s", "r"].map((letter) => letter + this.chosen));
    for (const cell of [...ahead, ...before]) names.push(`l${cell.id}`, `s${cell.id}`);
    for (const cell of ahead) names.push(`r${cell.id}`);
    for (const cell of this.data.cells) names.push(`t${cell.id}`);
    const look = this.look();
    return names.filter((name) => !look.has(name)).slice(0, 1900);
  }

  ask() {
    if (this.waiting) return;
    const follows = this.data.follow && this.told !== this.chosen;
    if (!follows && !this.lacking().length && !this.outbox.length) return;
    this.told = this.chosen;
    this.post();
  }

  say(text, isError = false) {
    this.notice.textContent = text;
    this.notice.classList.toggle("error", isError);
  }

  // --- going from cell to cell ------------------------------------------------------------------

  // The cells to go through, in their order; decided ones have left unless all are shown.
  steps() {
    const pending = this.pending();
    return this.data.cells.filter(
      (cell) => cell.isStep && (this.data.keeps || !pending.has(cell.id) || cell.id === this.chosen),
    );
  }

  choose(id) {
    this.chosen = id;
    this.selected = new Set([id]);
  }

  step(by) {
    const order = this.data.cells;
    const from = order.findIndex((cell) => cell.id === this.chosen);
    const pending = this.pending();
    for (let i = from + by; i >= 0 && i < order.length; i += by) {
      if (order[i].isStep && (this.data.keeps || !pending.has(order[i].id))) {
        this.say("");
        this.choose(order[i].id);
        this.draw();
        this.ask();
        return;
      }
    }
  }

  // After a decision: the next cell to go through, from the first again at the end.
  advance(from) {
    const pending = this.pending();
    const order = this.data.cells;
    this.shown = null; // where the cell stays, it is held like a new one
    if (!this.byId.get(from).isStep) return this.choose(from);
    const left = (cell) => cell.isStep && !pending.has(cell.id);
    const place = order.findIndex((cell) => cell.id === from);
    const next =
      order.slice(place + 1).find(left) ?? (this.data.keeps ? undefined : order.find(left));
    this.choose(next ? next.id : from);
  }

  // Show the chosen cell in its field, or large.
  showField(inField) {
    this.inField = inField;
    this.draw();
    this.ask();
  }

  showBlast() {
    const blast = this.data.cells.find((cell) => cell.group === "blast" || cell.part === "Blast?");
    if (!blast) return;
    this.choose(blast.id);
    this.draw();
    this.ask();
  }

  // --- decisions --------------------------------------------------------------------------------

  barred(id = this.chosen) {
    return this.data.samples[this.byId.get(id).sample]?.barred ?? null;
  }

  // Whether the chosen cell has been on the screen long enough to be labelled.
  isReady() {
    return !this.undoing && performance.now() >= this.open && !this.barred();
  }

  label(label, ids = [...this.selected]) {
    this.decide(ids.map((cell) => ({ cell, label })));
  }

  agree() {
    const labels = [...this.selected].map((cell) => ({ cell, label: this.byId.get(cell).agree }));
    this.decide(labels.filter(({ label }) => label));
  }

  decide(labels) {
    const last = labels.at(-1)?.cell;
    const samples = new Map();
    for (const one of labels) {
      const { sample } = this.byId.get(one.cell);
      if (this.barred(one.cell)) continue;
      if (!samples.has(sample)) samples.set(sample, []);
      samples.get(sample).push(one);
    }
    if (!samples.size) return;
    for (const [sample, own] of samples) {
      const { version } = this.data.samples[sample];
      const name = this.data.labels.find(({ key }) => key === own[0].label).name.toLowerCase();
      const cells = own.length === 1 ? this.byId.get(own[0].cell).name : `${own.length} cells`;
      const text = own.every(({ label }) => label === own[0].label) ? `${cells}, ${name}` : cells;
      const comment = this.comment.value;
      this.outbox.push({ id: newId(), sample, version, labels: own, comment, text });
    }
    comments.keep(this.chosen, "");
    this.say("");
    this.advance(last);
    this.draw();
    this.post();
  }

  last() {
    const sent = this.outbox.findLast((one) => one.labels);
    if (sent) return { id: sent.id, cells: sent.labels.map(({ cell }) => cell), text: sent.text };
    const { undo } = this.data;
    if (!undo) return null;
    const name = undo.cells.length === 1 && this.byId.get(undo.cells[0])?.name;
    return { ...undo, text: name ? `${name}, ${undo.text}` : undo.text };
  }

  // One at a time: the next one is let through once the cells of this one are on the screen.
  undo() {
    const last = this.last();
    if (!last || this.undoing || performance.now() < this.undoFrom) return;
    this.undoing = newId();
    this.outbox.push({ id: this.undoing, undo: last.id, text: last.text });
    const shown = last.cells.filter((id) => this.byId.has(id));
    if (shown.length) {
      this.chosen = shown[0];
      this.selected = new Set(shown);
    }
    this.say(`Undoing: ${last.text}`);
    this.draw();
    this.post();
  }

  // --- keys and pointer -------------------------------------------------------------------------

  key(event) {
    if (!this.data || !this.root.isConnected || !this.root.getClientRects().length) return;
    const target = event.composedPath()[0];
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (target.closest?.(TYPING)) return;
    const pressed = event.key.toLowerCase();
    const label = this.data.labels.find(({ shortcut }) => shortcut?.toLowerCase() === pressed);
    const by = { arrowleft: -1, arrowright: 1 }[pressed];
    if (pressed === "escape") this.hide();
    if (by && target.closest?.("[role=radiogroup], [role=tablist]")) return;
    if (!label && !by && !["a", "f", "u"].includes(pressed)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.hide();
    if (by) this.step(by);
    else if (event.repeat) return;
    else if (pressed === "u") this.undo();
    else if (pressed === "f") this.showField(!this.inField);
    else if (!this.isReady()) return;
    else if (label) this.label(label.key);
    else this.agree();
  }

  select(id, event) {
    if (event.shiftKey && this.byId.has(this.chosen)) {
      const order = this.data.cells.map((cell) => cell.id);
      const [from, to] = [order.indexOf(this.chosen), order.indexOf(id)].sort((a, b) => a - b);
      for (const between of order.slice(from, to + 1)) this.selected.add(between);
    } else if (event.ctrlKey || event.metaKey) {
      if (this.selected.has(id) && this.selected.size > 1) {
        this.selected.delete(id);
        if (this.chosen === id) this.chosen = [...this.selected].at(-1);
      } else {
        this.selected.add(id);
        this.chosen = id;
      }
    } else {
      this.choose(id);
      this.root.classList.remove("open"); // on a narrow window the cell is below
    }
    this.say("");
    this.draw();
    this.ask();
  }

  accepts(node, label) {
    node.addEventListener("dragover", (event) => {
      if (!this.dragging) return;
      event.preventDefault();
      node.classList.add("over");
    });
    node.addEventListener("dragleave", (event) => {
      if (!node.contains(event.relatedTarget)) node.classList.remove("over");
    });
    node.addEventListener("drop", (event) => {
      event.preventDefault();
      node.classList.remove("over");
      if (!this.dragging || this.undoing) return;
      const pending = this.pending();
      const moved = [...this.selected].filter(
        (id) => (pending.get(id) ?? this.byId.get(id).group) !== label,
      );
      this.label(label, moved);
    });
  }

  hide() {
    clearTimeout(this.hover);
    this.enlarged.hidden = true;
  }

  enlarge(node, cell) {
    this.hide();
    const own = this.look().get(`t${cell.id}`);
    if (!own) return;
    const [image, caption] = this.enlarged.children;
    image.src = own.src;
    image.alt = "";
    caption.textContent = cell.title;
    this.enlarged.hidden = false;
    const { left, right, top } = node.getBoundingClientRect();
    const { height } = this.enlarged.getBoundingClientRect();
    const x = right + 8 + ENLARGED <= window.innerWidth ? right + 8 : Math.max(left - ENLARGED - 8, 0);
    this.enlarged.style.left = `${x}px`;
    this.enlarged.style.top = `${Math.max(Math.min(top, window.innerHeight - height - 8), 0)}px`;
  }

  afterPaint(then) {
    // The second frame begins once the first one is painted.
    requestAnimationFrame(() => requestAnimationFrame(then));
  }

  // --- drawing ----------------------------------------------------------------------------------

  draw() {
    this.drawBar();
    this.drawStrip();
    this.drawGallery();
    this.drawCell();
    this.drawLabels();
  }

  drawBar() {
    const { data } = this;
    const pending = [...this.pending().keys()].filter((id) => this.byId.get(id)?.isStep);
    const left = data.toReview - (data.keeps ? 0 : pending.length);
    const cells = left === 1 ? "1 cell" : `${left} cells`;
    const other = data.confident ? `, ${data.confident} confident not reviewed` : "";
    const rest = left ? `${cells} to review` : `None left to review${other}`;
    this.position.textContent = data.keeps ? cells : rest;
    this.position.title = `${data.uncertain} uncertain, ${data.confident} confident, not reviewed. Possible blasts first, then uncertain cells, the least confident first.`;
    const last = this.last();
    this.undoButton.replaceChildren("Undo", element("kbd", "", "U"));
    this.undoButton.disabled = !last || Boolean(this.undoing);
    this.undoButton.title = last ? `Undo: ${last.text}` : "Nothing to undo";
    this.blasts.hidden = !data.strip?.blasts;
    this.blasts.textContent = data.strip?.blasts ? `Urgent: ${data.strip.blasts.split(". ")[0]}` : "";
    this.blasts.title = `${data.strip?.blasts ?? ""} Press to show the first.`;
    if (this.selected.size > 1 && !this.notice.textContent) {
      this.position.textContent = `${this.selected.size} cells chosen: a key labels all`;
    }
  }

  drawStrip() {
    const { strip } = this.data;
    this.strip.hidden = !strip;
    if (!strip) return;
    this.strip.classList.toggle("busy", this.outbox.length > 0);
    const bar = element("div", "stack");
    const list = element("div", "figures");
    for (const type of strip.types) {
      const part = element("span", "part");
      part.style.width = `${type.percent}%`;
      part.style.background = type.colour;
      const figure = element("span", "figure");
      const dot = element("i");
      dot.style.background = type.colour;
      figure.append(dot, `${type.name} ${type.count} · ${type.percent.toFixed(1)} %`);
      figure.title = part.title = `${type.name}: ${type.text}`;
      bar.append(part);
      list.append(figure);
    }
    list.append(
      element("span", "figure total", `n = ${strip.total}${strip.uncertain ? ` · ${strip.uncertain} uncertain, not counted` : ""}`),
    );
    this.strip.title = strip.warning ?? "";
    this.strip.replaceChildren(bar, list);
  }

  drawGallery() {
    const pending = this.pending();
    const groups = new Map(this.data.groups.map((group) => [group.key, []]));
    for (const cell of this.data.cells) groups.get(pending.get(cell.id) ?? cell.group)?.push(cell);
    this.boxes ??= new Map();
    for (const group of this.data.groups) {
      let box = this.boxes.get(group.key);
      if (!box) {
        box = element("section", "group");
        box.style.setProperty("--colour", group.colour);
        const heading = element("div", "heading");
        const name = button("name", group.name, () => this.selectGroup(group.key));
        heading.append(name, element("span"));
        box.append(heading, element("div", "cells"));
        if (group.target) this.accepts(box, group.key);
        this.boxes.set(group.key, box);
        this.gallery.append(box);
      }
      const cells = groups.get(group.key);
      box.hidden = !cells.length;
      const [heading, grid] = box.children;
      heading.children[0].title = "Choose all of them";
      heading.children[1].textContent = group.figures;
      const nodes = [];
      let part = "";
      for (const cell of cells) {
        const isMoved = pending.has(cell.id);
        if (!isMoved && cell.part !== part) {
          part = cell.part;
          if (part) nodes.push(element("div", "part", part));
        }
        nodes.push(this.cell(cell, isMoved));
      }
      // Cells that stay in place are not touched, so that the scroll position stays.
      if (nodes.length !== grid.children.length || nodes.some((node, i) => node !== grid.children[i])) {
        grid.replaceChildren(...nodes);
      }
    }
    for (const id of this.nodes.keys()) if (!this.byId.has(id)) this.nodes.delete(id);
    const node = this.nodes.get(this.chosen);
    if (this.scrolled !== this.chosen && node) {
      this.scrolled = this.chosen;
      const own = node.getBoundingClientRect();
      const pane = this.gallery.getBoundingClientRect();
      if (own.top < pane.top) this.gallery.scrollTop += own.top - pane.top - 40;
      else if (own.bottom > pane.bottom) this.gallery.scrollTop += own.bottom - pane.bottom + 8;
    }
  }

  selectGroup(key) {
    const own = this.data.cells.filter((cell) => cell.group === key);
    if (!own.length) return;
    this.chosen = own[0].id;
    this.selected = new Set(own.map((cell) => cell.id));
    this.say("");
    this.draw();
    this.ask();
  }

  cell(cell, isMoved) {
    let node = this.nodes.get(cell.id);
    if (!node) {
      // Not a <button>: Firefox cannot drag buttons.
      node = element("div", "cell");
      node.setAttribute("role", "button");
      node.tabIndex = 0;
      node.append(element("div", "frame"), element("div", "caption"));
      const known = () => this.byId.get(cell.id) ?? cell;
      node.addEventListener("click", (event) => this.select(cell.id, event));
      node.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.select(cell.id, event);
      });
      node.addEventListener("pointerenter", (event) => {
        if (event.pointerType !== "mouse") return;
        clearTimeout(this.hover);
        this.hover = setTimeout(() => this.enlarge(node, known()), DELAY);
      });
      node.addEventListener("pointerleave", () => this.hide());
      node.addEventListener("blur", () => this.hide());
      node.addEventListener("focus", () => node.matches(":focus-visible") && this.enlarge(node, known()));
      node.addEventListener("dragstart", (event) => {
        this.hide();
        this.dragging = true;
        if (!this.selected.has(cell.id)) this.choose(cell.id);
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", String(this.selected.size));
        setTimeout(() => this.draw()); // not before the browser has taken its picture of the cell
      });
      node.addEventListener("dragend", () => (this.dragging = false));
      this.nodes.set(cell.id, node);
    }
    node.draggable = !this.barred(cell.id);
    node.className = `cell${cell.isUncertain && !isMoved ? " uncertain" : ""}${isMoved ? " moved" : ""}`;
    node.setAttribute("aria-pressed", String(this.selected.has(cell.id)));
    if (cell.id === this.chosen) node.setAttribute("aria-current", "true");
    else node.removeAttribute("aria-current");
    node.setAttribute("aria-label", cell.title);
    const [frame, caption] = node.children;
    const image = this.look().get(`t${cell.id}`);
    if (image && frame.firstChild !== image) frame.replaceChildren(image);
    caption.textContent = isMoved ? `${cell.caption.split(" ")[0]} …` : cell.caption;
    return node;
  }

  drawCell() {
    const cell = this.byId.get(this.chosen);
    const look = this.look();
    const facts = cell.facts.map(([tone, text]) => element("span", `fact ${tone}`, text));
    this.head.replaceChildren(element("b", "", cell.name), ...facts);
    const label = this.pending().get(cell.id);
    if (label) {
      const { name } = this.data.labels.find(({ key }) => key === label);
      this.head.append(element("span", "fact", `Labelled ${name.toLowerCase()}, being saved`));
    }
    const place = (figure, image, caption, alt) => {
      const [frame, text] = figure.children;
      if (image === null) frame.replaceChildren(element("p", "", "The image is missing."));
      else if (image === undefined) {
        const small = look.get(`t${cell.id}`);
        frame.replaceChildren(...(figure === this.large && small ? [small.cloneNode()] : []));
        frame.classList.add("waits");
      } else if (frame.firstChild !== image) frame.replaceChildren(image);
      if (image !== undefined) frame.classList.remove("waits");
      if (image) image.alt = alt;
      text.textContent = caption;
    };
    const large = look.get(`l${cell.id}`);
    place(this.large, large, this.data.side, cell.title);
    place(this.around, look.get(`s${cell.id}`), "Its place in the field", `${cell.name} among its neighbours`);
    this.drawReferences(cell, look.get(`r${cell.id}`));
    const field = look.get(`f${cell.field}`);
    this.drawField(cell, field);
    // Labels are let through a moment after the cell was painted.
    const painted = this.inField ? field : large;
    const shown = painted === undefined ? null : `${cell.id} ${this.data.look} ${this.inField}`;
    if (shown && shown === this.shown) return;
    this.shown = shown;
    this.open = Infinity;
    if (!shown) return;
    const open = () => {
      if (this.shown === shown) this.open = performance.now() + MOMENT;
    };
    const ready = painted?.decode ? painted.decode().catch(() => {}) : Promise.resolve();
    ready.then(() => this.afterPaint(open));
  }

  // A press on a box chooses its cell, one on that of the chosen cell shows it large.
  drawField(cell, field) {
    this.ways.forEach((node, i) => node.setAttribute("aria-pressed", String(this.inField === (i === 1))));
    this.pair.hidden = this.references.hidden = this.inField;
    this.field.hidden = !this.inField;
    if (!this.inField) return;
    const [frame, caption] = this.field.children;
    frame.classList.toggle("waits", field === undefined);
    if (!field) {
      this.painted = null;
      frame.replaceChildren(...(field === null ? [element("p", "", "The image is missing.")] : []));
      return;
    }
    const { source, width, height } = field;
    if (this.painted !== field) {
      this.painted = field;
      const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "group" });
      svg.append(drawing("image", { href: source, width, height }), drawing("g", {}));
      frame.replaceChildren(svg);
    }
    const svg = frame.firstChild;
    svg.setAttribute("aria-label", `The field of ${cell.name.toLowerCase()} with its white cells`);
    const pending = this.pending();
    const size = Math.max(width, height) / 40;
    const own = this.data.cells.filter((one) => one.field === cell.field);
    const boxes = own.map((one) => {
      const [x, y, across, down] = one.box;
      const label = this.data.labels.find(({ key }) => key === pending.get(one.id));
      const isUncertain = one.isUncertain && !pending.has(one.id);
      const node = drawing("g", { class: `boxed${this.selected.has(one.id) ? " chosen" : ""}` });
      const rect = { x, y, width: across, height: down, stroke: (label ?? one).colour };
      const number = drawing("text", { x, y: y > size ? y - size / 4 : y + size, "font-size": size });
      number.textContent = one.caption.split(" ")[0].split(".").at(-1);
      const title = drawing("title", {});
      title.textContent = one.title;
      node.append(title, drawing("rect", { ...rect, class: "halo" }));
      node.append(drawing("rect", isUncertain ? { ...rect, "stroke-dasharray": "6 4" } : rect), number);
      node.addEventListener("click", (event) => {
        const isPlain = !event.shiftKey && !event.ctrlKey && !event.metaKey;
        if (one.id === this.chosen && isPlain) this.showField(false);
        else this.select(one.id, event);
      });
      return node;
    });
    svg.lastChild.replaceChildren(...boxes);
    caption.textContent = `${own.length === 1 ? "1 white cell" : `${own.length} white cells`} of this list in the field. Press a box to choose its cell, press it again to see it large. Boxes are added and corrected in the view Fields.`;
  }

  drawReferences(cell, rows) {
    const key = `${cell.id} ${this.data.look} ${Boolean(rows)} ${this.look().has(`t${cell.id}`)}`;
    if (key === this.referencesOf) return;
    this.referencesOf = key;
    const own = this.look().get(`t${cell.id}`);
    const drawn = (rows?.rows ?? []).map((row) => {
      const line = element("div", "row");
      const images = element("div", "images");
      if (own) {
        const first = own.cloneNode();
        first.className = "own";
        first.alt = first.title = "This cell";
        images.append(first);
      }
      for (const [source, origin] of row.images) {
        const image = element("img");
        image.src = source;
        image.alt = image.title = `${row.name}, ${origin}`;
        images.append(image);
      }
      const origins = [...new Set(row.images.map(([, origin]) => origin))];
      const caption = element("div", "what");
      caption.append(element("b", "", row.name), ` · ${origins.join(", ")}`);
      caption.title = row.description;
      line.append(caption, images);
      return line;
    });
    if (drawn.length) {
      drawn.unshift(element("div", "scale", "Compare: this cell first, all at one scale"));
      drawn.push(element("div", "scale", rows.credits));
    }
    this.references.replaceChildren(...drawn);
  }

  drawLabels() {
    const cell = this.byId.get(this.chosen);
    const barred = this.barred();
    if (!this.choices) {
      this.choices = new Map();
      this.agreeButton = button("agree", "", () => this.isReady() && this.agree());
      this.why = element("div", "why");
      this.labels.append(this.agreeButton);
      for (const { key, name, shortcut, colour } of this.data.labels) {
        const node = button("label", "", () => this.isReady() && this.label(key));
        node.style.setProperty("--colour", colour);
        node.dataset.label = key;
        node.append(element("i"), element("span", "name", name), element("span", "probability"));
        if (shortcut) node.append(element("kbd", "", shortcut));
        this.accepts(node, key);
        this.choices.set(key, node);
        this.labels.append(node);
      }
      this.labels.append(this.comment, this.why);
    }
    for (const [key, node] of this.choices) {
      const [probability, text] = cell.likely[key] ?? [0, ""];
      node.children[2].textContent = text;
      node.style.setProperty("--part", `${100 * probability}%`);
      node.disabled = Boolean(barred);
    }
    const { name } = this.data.labels.find(({ key }) => key === cell.agree) ?? {};
    const many = this.selected.size > 1;
    this.agreeButton.hidden = !name && !many;
    this.agreeButton.disabled = Boolean(barred);
    const text = many ? `Agree: ${this.selected.size} cells` : `Agree: ${name}`;
    this.agreeButton.replaceChildren(element("span", "", text), element("kbd", "", "A"));
    this.comment.disabled = Boolean(barred);
    if (this.comment.value !== comments.of(cell.id)) this.comment.value = comments.of(cell.id);
    this.why.textContent = barred ?? "";
  }
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  let bench = benches.get(parentElement);
  if (!bench) {
    bench = new Bench(parentElement);
    benches.set(parentElement, bench);
  }
  bench.update(data, setStateValue);
  // Also called for a run that a later one overtook, while the component stays on the page.
  return () => setTimeout(() => bench.root.isConnected || bench.end());
}
