// A slide that fills the window. Keys: arrows, Page Up and Down, Space: back and on; a field shows its
// boxes type by type first. L hides and shows labels, P or a pressed mouse button shows the pointer,
// F fills the screen, Escape ends. Python receives the number of the step to show next.
const SVG = "http://www.w3.org/2000/svg";
const memories = new WeakMap(); // What stays from slide to slide: labels, boxes that are shown.

function picture(src, alt) {
  const image = element("img");
  image.src = src;
  image.alt = alt;
  return image;
}

// Make everything that the slide covers unreachable by key, until the lecture ends.
function cover(slide, signal) {
  const covered = [];
  let node = slide;
  while (node !== document.body) {
    const parent = node.parentNode;
    for (const other of parent.children) {
      if (other !== node && !other.inert) covered.push(other);
    }
    node = parent instanceof ShadowRoot ? parent.host : parent;
  }
  for (const other of covered) other.inert = true;
  signal.addEventListener("abort", () => {
    for (const other of covered) other.inert = false;
  });
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const memory = memories.get(parentElement) ?? { labels: true, step: null, revealed: 0 };
  memories.set(parentElement, memory);
  memory.end?.abort();
  const ended = new AbortController();
  memory.end = ended;
  // A slide is drawn anew for every step: the button that had the focus gets it back.
  const focused = parentElement.querySelector(".lecture button:focus")?.title;
  const listen = (target, event, act, options = {}) =>
    target.addEventListener(event, act, { signal: ended.signal, ...options });

  if (memory.step !== data.step || memory.tour !== data.tour) {
    const backwards = memory.tour === data.tour && memory.step > data.step;
    // Coming back to a field shows it as it was left.
    memory.revealed = backwards && data.field ? data.field.groups.length : 0;
    memory.step = data.step;
    memory.tour = data.tour;
  }

  parentElement.querySelector(".lecture")?.remove();
  const root = element("div", "lecture");
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", `Lecture, step ${data.step + 1} of ${data.steps}`);
  const stage = element("div", data.field ? "stage wide" : `stage figures${data.figures.length}`);
  const words = element("div", "words");
  const bar = element("div", "bar");
  const dot = element("div", "dot");
  root.append(stage, words, bar, dot);
  parentElement.appendChild(root);
  cover(root, ended.signal);

  // Words beside the images.
  const title = element("h1");
  words.appendChild(title);
  const hidden = [];
  const add = (node) => {
    words.appendChild(node);
    hidden.push(node);
  };
  if (data.problem) words.appendChild(element("p", "problem", data.problem));
  if (data.own) words.appendChild(element("p", "own", data.own));
  if (data.text) add(element("p", "", data.text));
  for (const fact of data.facts) add(element("p", "fact", fact));
  for (const figure of data.figures) {
    if (!figure.notes.length) continue;
    const block = element("div", "notes");
    if (data.figures.length > 1) block.appendChild(element("b", "", figure.name));
    const list = element("ol");
    for (const note of figure.notes) list.appendChild(element("li", "", note));
    block.appendChild(list);
    add(block);
  }
  if (data.strip.length) {
    const strip = element("div", "strip");
    for (const src of data.strip) strip.appendChild(picture(src, "Real cell"));
    words.appendChild(strip);
  }
  const legend = element("div", "legend");
  if (data.field) add(legend);
  if (data.credit) words.appendChild(element("p", "credit", data.credit));
  words.appendChild(element("p", "credit", data.notice));

  // Images.
  const swaps = [];
  for (const figure of data.figures) {
    const box = element("figure");
    const image = picture(figure.plain, figure.name || "Cell");
    const caption = element("figcaption", "", figure.name);
    box.append(image, caption);
    stage.appendChild(box);
    swaps.push((on) => {
      image.src = on ? figure.labelled : figure.plain;
      image.alt = on ? figure.name || "Cell" : "Cell, labels hidden";
      caption.style.visibility = on ? "visible" : "hidden";
    });
  }
  const groups = [];
  if (data.field) {
    const { width, height } = data.field;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Field of a smear");
    const image = document.createElementNS(SVG, "image");
    for (const [name, value] of Object.entries({ href: data.field.src, width, height })) {
      image.setAttribute(name, value);
    }
    svg.appendChild(image);
    for (const group of data.field.groups) {
      const layer = document.createElementNS(SVG, "g");
      for (const { at, dashes } of group.boxes) {
        const box = document.createElementNS(SVG, "rect");
        const [x, y, w, h] = at;
        for (const [name, value] of Object.entries({ x, y, width: w, height: h })) {
          box.setAttribute(name, value);
        }
        box.setAttribute("stroke", group.colour);
        if (dashes.length) box.setAttribute("stroke-dasharray", dashes.map((d) => 3 * d).join(" "));
        layer.appendChild(box);
      }
      svg.appendChild(layer);
      const line = element("p", "", "");
      const swatch = element("span", "swatch");
      swatch.style.borderColor = group.colour;
      line.append(swatch, `${group.name} (${group.boxes.length})`);
      legend.appendChild(line);
      groups.push([layer, line]);
    }
    stage.appendChild(svg);
  }

  function show() {
    title.textContent = memory.labels ? data.title : "What is it?";
    for (const node of hidden) node.style.display = memory.labels ? "" : "none";
    for (const swap of swaps) swap(memory.labels);
    groups.forEach(([layer, line], index) => {
      layer.style.display = index < memory.revealed ? "" : "none";
      line.style.display = index < memory.revealed ? "" : "none";
    });
    labels.setAttribute("aria-pressed", String(memory.labels));
  }

  function go(step) {
    if (step >= 0 && step < data.steps) setTriggerValue("go", step);
  }
  function next() {
    if (memory.revealed < groups.length) {
      memory.revealed += 1;
      show();
    } else go(data.step + 1);
  }
  function back() {
    if (memory.revealed > 0) {
      memory.revealed -= 1;
      show();
    } else go(data.step - 1);
  }
  function toggleLabels() {
    memory.labels = !memory.labels;
    show();
  }
  function fill() {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen?.();
  }
  function end() {
    if (document.fullscreenElement) document.exitFullscreen();
    setTriggerValue("end", true);
  }
  function point(on) {
    dot.classList.toggle("on", on);
  }

  function button(text, meaning, act) {
    const node = element("button", "", text);
    node.type = "button";
    node.title = meaning;
    node.setAttribute("aria-label", meaning);
    listen(node, "click", act);
    bar.appendChild(node);
    return node;
  }
  button("←", "Previous (arrow left)", back).disabled = data.step === 0 && !groups.length;
  const place = element("span", "place", `${data.step + 1} / ${data.steps}`);
  bar.appendChild(place);
  const last = data.step === data.steps - 1 && !groups.length;
  button("→", "Next (arrow right)", next).disabled = last;
  const labels = button("Labels L", "Hide or show labels (L)", toggleLabels);
  const keys = element("span", "keys", "Pointer: hold P or the mouse button");
  bar.appendChild(keys);
  button("Fill F", "Fill the screen (F)", fill);
  button("End Esc", "End the lecture (Escape)", end);

  const acts = {
    ArrowRight: next,
    PageDown: next,
    " ": next,
    ArrowLeft: back,
    PageUp: back,
    Home: () => go(0),
    End: () => go(data.steps - 1),
    l: toggleLabels,
    f: fill,
    Escape: end,
    p: () => point(true),
  };
  listen(
    window,
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const pressed = event.composedPath()[0];
      if (event.key === " " && pressed instanceof HTMLButtonElement) return;
      const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act) return;
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) act();
    },
    { capture: true },
  );
  listen(window, "keyup", (event) => {
    if (event.key.toLowerCase() === "p") point(false);
  });
  const follow = (event) => {
    dot.style.transform = `translate(${event.clientX}px, ${event.clientY}px)`;
  };
  listen(window, "pointermove", follow);
  listen(stage, "pointerdown", (event) => {
    event.preventDefault(); // no dragging of the image
    follow(event);
    point(true);
  });
  for (const over of ["pointerup", "pointercancel", "blur"]) listen(window, over, () => point(false));

  show();
  if (focused) bar.querySelector(`[title="${focused}"]`)?.focus();
  return () => ended.abort();
}
