// A field with a box around each cell, its legend, and buttons to zoom; two fingers zoom and move it.
// Pointing at a cell, tapping it, or focusing it where cells can be chosen, shows what it is; a press
// on an entry of the legend hides its cells in this field. A click on a white cell sends its id to
// Python; without a mode nothing is sent. The mode "add" sends a new box: a click adds one of the usual size, a drag one of any size.
// The mode "move" sends the new box of a cell that was dragged, as a whole or by a corner of the
// chosen one. The mode "split" sends the line that was drawn across a box. Boxes never leave the image.
const SVG = "http://www.w3.org/2000/svg";
const views = new WeakMap();
const SMALLEST_DRAG = 6; // CSS pixels; less is a click
const HANDLE = 22; // CSS pixels across, large enough for a finger
const SMALL_CELL = 90; // CSS pixels; a smaller chosen cell is enlarged before its box is changed
// Style properties that are saved with an image.
const DRAWN = ["display", "fill", "font-family", "font-size", "font-weight", "paint-order", "stroke", "stroke-dasharray", "stroke-width", "vector-effect"];
const MOST_SAVED = 16e6; // pixels; telephones draw no larger image
const STEP = 1.5; // by which a button zooms
const NUMBER = 15; // CSS pixels high, however large the field is shown
const FRAME_GAP = 0.12; // between the chosen cell's box and its frame, of the box
const EDGE = 0.06; // of the height: the number of a box nearer to the edge stands inside
const CORNERS = { nw: [0, 0], ne: [1, 0], sw: [0, 1], se: [1, 1] };

function svgElement(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const focused = parentElement.getRootNode().activeElement?.dataset.cell;
  parentElement.querySelector(".field")?.remove();
  const root = element("div", "field");
  const frame = element("div", "frame");
  const role = data.mode ? "group" : "img";
  const svg = svgElement("svg", { class: data.mode ?? "", role, "aria-label": data.title });
  const hint = element("div", "hint");
  hint.hidden = true;
  frame.append(svg, hint);
  root.append(frame);
  parentElement.appendChild(root);
  frame.style.aspectRatio = data.width / data.height;
  root.style.setProperty("--ratio", data.width / data.height);
  if (data.room) root.style.setProperty("--room", data.room);

  const previous = views.get(parentElement);
  let view =
    previous?.field === data.field
      ? previous
      : { field: data.field, x: 0, y: 0, width: data.width, height: data.height, hidden: new Set() };
  // `hidden` are entries of the legend. The chosen cell is never hidden: it is being looked at.
  view.hidden.delete(data.cells.find((cell) => cell.id === data.chosen)?.group);
  const possible = (width) => Math.min(Math.max(width, data.width / 12), data.width);
  function showView(next) {
    const width = possible(next.width);
    const height = (width * data.height) / data.width;
    view = {
      field: data.field,
      enlarged: view.enlarged,
      hidden: view.hidden,
      width,
      height,
      x: Math.min(Math.max(next.x, 0), data.width - width),
      y: Math.min(Math.max(next.y, 0), data.height - height),
    };
    views.set(parentElement, view);
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
    svg.classList.toggle("zoomed", width < data.width);
    hint.hidden = true;
    fit();
  }
  const handles = [];
  const zoom = () => svg.getScreenCTM()?.a || 1; // CSS pixels per pixel of the image
  function fit() {
    const number = `${NUMBER / zoom()}px`;
    if (svg.style.getPropertyValue("--number") !== number) svg.style.setProperty("--number", number);
    const side = HANDLE / zoom();
    for (const { node, box, corner } of handles) {
      node.setAttribute("x", box.x + CORNERS[corner][0] * box.width - side / 2);
      node.setAttribute("y", box.y + CORNERS[corner][1] * box.height - side / 2);
      node.setAttribute("width", side);
      node.setAttribute("height", side);
    }
  }
  showView(view);

  svg.appendChild(
    svgElement("image", { href: data.src, x: 0, y: 0, width: data.width, height: data.height }),
  );
  for (const { points, colour } of data.outlines) {
    svg.appendChild(svgElement("polygon", { class: "outline", points, stroke: colour }));
  }
  const isInside = (y) => y < EDGE * data.height;
  function place(number, x, y) {
    number.setAttribute("x", x + 2);
    number.setAttribute("y", y);
    number.setAttribute("dy", isInside(y) ? "1em" : "-0.25em");
  }
  // What a cell is, beside it.
  function tell(cell, box) {
    if (pointer !== null) return; // something is dragged
    const around = frame.getBoundingClientRect();
    const here = box.getBoundingClientRect();
    hint.replaceChildren(...cell.title.split("\n").map((line) => element("div", "", line)));
    hint.hidden = false;
    const left = here.right + 8 + hint.offsetWidth > around.right ? here.left - 8 - hint.offsetWidth : here.right + 8;
    const top = Math.min(here.top, around.bottom - hint.offsetHeight - 4);
    hint.style.left = `${Math.max(left - around.left, 4)}px`;
    hint.style.top = `${Math.max(top - around.top, 4)}px`;
  }
  // One listener for all cells: a field has thousands of red ones.
  const known = new Map(); // the group of each cell, with the cell and its box
  const at = (event) => known.get(event.target.closest(".cell"));
  for (const event of ["pointerover", "focusin"]) {
    svg.addEventListener(event, (event) => at(event) && tell(...at(event)));
  }
  svg.addEventListener("focusout", () => (hint.hidden = true));
  svg.addEventListener("pointerout", (event) => {
    if (event.pointerType !== "touch") hint.hidden = true; // a finger leaves at once: it stays until the next
  });
  const edits = data.mode === "move" || data.mode === "split";
  const groups = {}; // the cells of each entry of the legend
  let grasped = null; // the cell that is dragged: its box, its nodes and, when resized, the corner
  for (const cell of data.cells) {
    const [x, y, width, height] = cell.box;
    const group = svgElement("g", { class: cell.id === data.chosen ? "cell chosen" : "cell" });
    const box = svgElement("rect", { x, y, width, height, stroke: cell.colour });
    if (cell.dashes) box.setAttribute("stroke-dasharray", cell.dashes);
    const number = svgElement("text", { fill: cell.colour });
    place(number, x, y);
    number.textContent = cell.number;
    if (cell.id === data.chosen && !edits) {
      const gap = FRAME_GAP * Math.max(width, height);
      const around = { x: x - gap, y: y - gap, width: width + 2 * gap, height: height + 2 * gap };
      group.append(svgElement("rect", { class: "around", ...around }));
    }
    group.append(box, number);
    group.classList.toggle("small", !cell.number);
    group.style.display = view.hidden.has(cell.group) ? "none" : "";
    (groups[cell.group] ??= []).push(group);
    known.set(group, [cell, box]);
    if (data.mode && data.mode !== "add" && cell.number) {
      group.dataset.cell = cell.id;
      group.setAttribute("tabindex", "0");
      group.setAttribute("role", "button");
      group.setAttribute("aria-label", cell.title.replaceAll("\n", ", "));
      const pick = () => {
        const { sample, version, field, mode } = data;
        setTriggerValue("picked", { sample, version, field, mode, id: cell.id });
      };
      group.addEventListener("click", () => {
        if (!moved && !(edits && cell.id === data.chosen)) pick();
      });
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          pick();
        }
      });
    }
    if (data.mode === "move") {
      const shown = { x, y, width, height };
      const grasp = (corner) => () => {
        if (pointer === null) grasped = { id: cell.id, from: { ...shown }, shown, box, number, corner };
      };
      group.addEventListener("pointerdown", grasp(null));
      if (cell.id === data.chosen) {
        for (const corner of Object.keys(CORNERS)) {
          const node = svgElement("rect", { class: `handle ${corner}` });
          node.addEventListener("pointerdown", grasp(corner));
          handles.push({ node, box: shown, corner });
        }
      }
    }
    svg.appendChild(group);
  }
  svg.append(...handles.map(({ node }) => node));
  const chosen = data.cells.find((cell) => cell.id === data.chosen);
  if (edits && chosen && data.chosen !== view.enlarged) {
    const [x, y, width, height] = chosen.box;
    const side = Math.max(width, height);
    const far = x < view.x || y < view.y || x + width > view.x + view.width;
    if (side * zoom() < SMALL_CELL || far || y + height > view.y + view.height) {
      const across = Math.min(view.width, 4 * side);
      const down = (across * data.height) / data.width;
      showView({ width: across, x: x + (width - across) / 2, y: y + (height - down) / 2 });
    }
    view.enlarged = data.chosen;
  }
  fit();

  function redrawn(here) {
    const { from, corner } = grasped;
    const right = from.x + from.width;
    const bottom = from.y + from.height;
    const clamp = (value, least, most) => Math.min(Math.max(value, least), Math.max(least, most));
    const [dx, dy] = [here.x - start.x, here.y - start.y];
    if (!corner) {
      const x = clamp(from.x + dx, 0, data.width - from.width);
      const y = clamp(from.y + dy, 0, data.height - from.height);
      return { ...from, x, y };
    }
    const west = corner[1] === "w";
    const north = corner[0] === "n";
    const x1 = west ? clamp(from.x + dx, 0, right - data.least) : from.x;
    const y1 = north ? clamp(from.y + dy, 0, bottom - data.least) : from.y;
    const x2 = west ? right : clamp(right + dx, from.x + data.least, data.width);
    const y2 = north ? bottom : clamp(bottom + dy, from.y + data.least, data.height);
    return { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  }

  function showGrasped(box) {
    Object.assign(grasped.shown, box);
    for (const [name, value] of Object.entries(box)) grasped.box.setAttribute(name, value);
    place(grasped.number, box.x, box.y);
    fit();
  }

  // The cell whose box a line divides: it holds the middle of the line, and is the smallest.
  function divided(line) {
    const x = (line.start[0] + line.end[0]) / 2;
    const y = (line.start[1] + line.end[1]) / 2;
    const holds = ({ box: [left, top, width, height] }) =>
      x >= left && x <= left + width && y >= top && y <= top + height;
    const area = ({ box }) => box[2] * box[3];
    const held = data.cells.filter((cell) => holds(cell) && !view.hidden.has(cell.group)).sort((a, b) => area(a) - area(b));
    return held.find((cell) => cell.id === data.chosen) ?? held[0];
  }

  function point(event) {
    const screen = new DOMPoint(event.clientX, event.clientY);
    return screen.matrixTransform(svg.getScreenCTM().inverse());
  }

  let start = null; // where the pointer went down, in image and in screen coordinates
  let moved = false;
  let drawn = null;
  function dragged(event) {
    const here = point(event);
    return {
      x: Math.min(start.x, here.x),
      y: Math.min(start.y, here.y),
      width: Math.abs(here.x - start.x),
      height: Math.abs(here.y - start.y),
    };
  }
  let pointer = null; // only the first finger acts
  let fingers = null; // how far two fingers are from each other, and the place between them
  function release() {
    start = null;
    pointer = null;
    grasped = null;
  }
  svg.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".cell")) hint.hidden = true;
    if (event.button !== 0 || fingers || (pointer !== null && event.pointerId !== pointer)) return;
    const { x, y } = point(event);
    pointer = event.pointerId;
    start = { x, y, clientX: event.clientX, clientY: event.clientY };
    moved = false;
    if (data.mode === "add") svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!start || event.pointerId !== pointer) return;
    const far = Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY);
    moved ||= far >= SMALLEST_DRAG;
    if (!moved) return;
    // Not before: a captured click would not reach its cell.
    if (data.mode === "split" || grasped) svg.setPointerCapture(event.pointerId);
    const here = point(event);
    if (data.mode === "add") {
      drawn ??= svg.appendChild(svgElement("rect", { class: "drawn" }));
      for (const [name, value] of Object.entries(dragged(event))) drawn.setAttribute(name, value);
    } else if (data.mode === "split") {
      drawn ??= svg.appendChild(svgElement("line", { class: "drawn" }));
      const ends = { x1: start.x, y1: start.y, x2: here.x, y2: here.y };
      for (const [name, value] of Object.entries(ends)) drawn.setAttribute(name, value);
    } else if (grasped) {
      showGrasped(redrawn(here));
    } else {
      showView({ ...view, x: view.x + start.x - here.x, y: view.y + start.y - here.y });
    }
  });
  svg.addEventListener("pointerup", (event) => {
    if (!start || event.pointerId !== pointer) return;
    const { sample, version, field } = data;
    const here = point(event);
    if (data.mode === "add") {
      const side = data.diameter;
      const box = moved
        ? dragged(event)
        : { x: start.x - side / 2, y: start.y - side / 2, width: side, height: side };
      setTriggerValue("placed", { sample, version, field, ...box });
    } else if (data.mode === "split" && moved) {
      const line = { start: [start.x, start.y], end: [here.x, here.y] };
      const cell = divided(line);
      if (cell) setTriggerValue("divided", { sample, version, id: cell.id, ...line });
      else drawn?.remove();
      drawn = null;
    } else if (grasped && moved) {
      setTriggerValue("redrawn", { sample, version, id: grasped.id, ...grasped.shown });
    }
    release();
  });
  function cancel() {
    if (grasped) showGrasped(grasped.from);
    release();
    drawn?.remove();
    drawn = null;
  }
  svg.addEventListener("pointercancel", cancel);
  svg.addEventListener("pointerleave", (event) => {
    if (!svg.hasPointerCapture(event.pointerId)) release();
  });
  svg.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.shiftKey && view.width === data.width && event.deltaY > 0) return;
      event.preventDefault();
      const here = point(event);
      const width = possible(view.width * Math.exp(event.deltaY / 500));
      const factor = width / view.width;
      showView({
        width,
        x: here.x - (here.x - view.x) * factor,
        y: here.y - (here.y - view.y) * factor,
      });
    },
    { passive: false },
  );
  function spread([one, other]) {
    const distance = Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    const clientX = (one.clientX + other.clientX) / 2;
    const clientY = (one.clientY + other.clientY) / 2;
    return { distance, middle: point({ clientX, clientY }) };
  }
  const isPair = ({ touches }) => touches.length === 2 && [...touches].every(({ target }) => svg.contains(target));
  const pinch = {
    touchstart(event) {
      if (event.touches.length > 1) cancel(); // what the first finger began
      // Where the page scrolls already, it goes on doing so.
      fingers = isPair(event) && event.cancelable ? spread(event.touches) : null;
      if (!fingers) return;
      event.preventDefault(); // else the browser zooms the page
      moved = true; // so that no finger chooses a cell
    },
    touchmove(event) {
      if (!fingers) return;
      event.preventDefault();
      const { distance, middle } = spread(event.touches);
      const width = possible((view.width * fingers.distance) / distance);
      const factor = width / view.width;
      showView({
        width,
        x: fingers.middle.x - (middle.x - view.x) * factor,
        y: fingers.middle.y - (middle.y - view.y) * factor,
      });
      fingers.distance = distance;
    },
    touchend() {
      fingers = null;
    },
    touchcancel() {
      fingers = null;
    },
  };
  for (const [event, act] of Object.entries(pinch)) svg.addEventListener(event, act, { passive: false });
  const reset = () => showView({ x: 0, y: 0, width: data.width });
  svg.addEventListener("dblclick", reset);

  function zoomBy(factor) {
    const width = possible(view.width / factor);
    const height = (view.height * width) / view.width;
    showView({ width, x: view.x + (view.width - width) / 2, y: view.y + (view.height - height) / 2 });
  }
  const tools = element("div", "tools");
  for (const [text, name, act] of [
    ["+", "Zoom in", () => zoomBy(STEP)],
    ["−", "Zoom out", () => zoomBy(1 / STEP)],
    ["⤢", "Whole field", reset],
    ["⤓", "Save as PNG", save],
  ]) {
    const button = put(tools, "button", { type: "button", title: name, "aria-label": name }, text);
    button.addEventListener("click", act);
  }
  const bar = element("div", "bar"); // not over the image, where it would cover cells
  bar.append(drawnLegend(), tools);
  root.prepend(bar);

  // Save what is shown, in pixels of the image at least: the styles go with the copy.
  async function save() {
    const copy = svg.cloneNode(true);
    const own = [svg, ...svg.querySelectorAll("*")];
    for (const [i, node] of [copy, ...copy.querySelectorAll("*")].entries()) {
      const style = getComputedStyle(own[i]);
      for (const name of DRAWN) node.style.setProperty(name, style.getPropertyValue(name));
    }
    // A tenth of the pixels is left for the legend.
    const scale = Math.min(Math.max(1, zoom()), Math.sqrt((0.9 * MOST_SAVED) / (view.width * view.height)));
    const size = { width: Math.round(view.width * scale), height: Math.round(view.height * scale) };
    for (const [name, value] of Object.entries(size)) copy.setAttribute(name, value);
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), size);
    const pen = canvas.getContext("2d");
    const text = Math.max(12, Math.round(size.width / 60));
    const entries = writtenLegend(pen, text, size.width);
    canvas.height += entries.length ? entries.at(-1).y + text : 0;
    pen.fillStyle = "white";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0);
    pen.translate(0, size.height);
    pen.font = `${text}px sans-serif`; // a canvas that changes its height forgets it
    pen.textBaseline = "middle";
    pen.lineWidth = text / 6;
    for (const { x, y, name, colour, dashes } of entries) {
      pen.strokeStyle = colour;
      pen.setLineDash((dashes ?? "").split(/[ ,]+/).filter(Boolean).map((length) => (Number(length) * text) / 12));
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(x + 2 * text, y);
      pen.stroke();
      pen.fillStyle = "black";
      pen.fillText(name, x + 2.5 * text, y);
    }
    const link = document.createElement("a");
    link.download = "leukoscope_field.png"; // the name of the file may identify a patient
    link.href = canvas.toDataURL("image/png");
    link.click();
  }

  // The entries of the legend whose cells are shown, in rows that are `width` long.
  function writtenLegend(pen, text, width) {
    const shown = data.legend.filter(({ group }) => !view.hidden.has(group));
    const outlined = (data.outlined ?? []).map(([name, colour]) => ({ text: name, colour }));
    pen.font = `${text}px sans-serif`;
    let [x, y] = [text, text];
    return [...shown, ...outlined].map(({ text: name, colour, dashes }) => {
      const length = 4 * text + pen.measureText(name).width;
      if (x > text && x + length > width) [x, y] = [text, y + 1.5 * text];
      const entry = { x, y, name, colour, dashes };
      x += length;
      return entry;
    });
  }

  function drawnLegend() {
    const legend = element("div", "legend");
    legend.setAttribute("role", "group");
    legend.setAttribute("aria-label", "Shown cells");
    for (const { group, text, colour, dashes } of data.legend) {
      const isShown = !view.hidden.has(group);
      const entry = put(legend, "button", { type: "button", "aria-pressed": isShown });
      const line = svgElement("svg", { class: "line", viewBox: "0 0 26 8", "aria-hidden": true });
      const ends = { x1: 1, y1: 4, x2: 25, y2: 4, stroke: colour };
      line.append(svgElement("line", dashes ? { ...ends, "stroke-dasharray": dashes } : ends));
      entry.append(line, element("span", "", text));
      entry.addEventListener("click", () => {
        const isHidden = view.hidden.has(group);
        if (isHidden) view.hidden.delete(group);
        else view.hidden.add(group);
        entry.setAttribute("aria-pressed", isHidden);
        for (const node of groups[group]) node.style.display = isHidden ? "" : "none";
      });
    }
    for (const [name, colour] of data.outlined ?? []) {
      const entry = put(legend, "span");
      const line = svgElement("svg", { class: "line", viewBox: "0 0 26 8", "aria-hidden": true });
      line.append(svgElement("line", { x1: 1, y1: 4, x2: 25, y2: 4, stroke: colour }));
      entry.append(line, element("span", "", name));
    }
    return legend;
  }

  svg.querySelector(`[data-cell="${focused}"]`)?.focus({ preventScroll: true });
  hint.hidden = true; // the pointer may be elsewhere by now
  const resized = new ResizeObserver(() => {
    // Streamlit ends only the last drawing of a component; an observed one would be kept for good.
    if (frame.isConnected) fit();
    else resized.disconnect();
  });
  resized.observe(frame);
  return () => resized.disconnect();
}
