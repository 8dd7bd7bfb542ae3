// A field with a box around each white cell. A click on a cell sends its id to Python. The mode "add"
// sends a new box: a click adds one of the usual size, a drag one of any size. The mode "move" sends
// the new box of a cell that was dragged, as a whole or by a corner of the chosen one. The mode
// "split" sends the line that was drawn across a box. Boxes never leave the image.
const SVG = "http://www.w3.org/2000/svg";
const views = new WeakMap();
const SMALLEST_DRAG = 6; // CSS pixels; less is a click
const HANDLE = 22; // CSS pixels across, large enough for a finger
const SMALL_CELL = 90; // CSS pixels; a smaller chosen cell is enlarged before its box is changed
const CORNERS = { nw: [0, 0], ne: [1, 0], sw: [0, 1], se: [1, 1] };

function svgElement(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  parentElement.querySelector("svg")?.remove();
  const svg = svgElement("svg", { class: data.mode, role: "group", "aria-label": data.title });
  parentElement.appendChild(svg);

  const previous = views.get(parentElement);
  let view =
    previous?.field === data.field
      ? previous
      : { field: data.field, x: 0, y: 0, width: data.width, height: data.height };
  function showView(next) {
    const width = Math.min(Math.max(next.width, data.width / 12), data.width);
    const height = (width * data.height) / data.width;
    view = {
      field: data.field,
      enlarged: view.enlarged,
      width,
      height,
      x: Math.min(Math.max(next.x, 0), data.width - width),
      y: Math.min(Math.max(next.y, 0), data.height - height),
    };
    views.set(parentElement, view);
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
    sizeHandles();
  }
  const handles = [];
  const zoom = () => svg.getScreenCTM()?.a || 1; // CSS pixels per pixel of the image
  function sizeHandles() {
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
  const fontSize = Math.max(data.width, data.height) / 45;
  const edits = data.mode === "move" || data.mode === "split";
  let grasped = null; // the cell that is dragged: its box, its nodes and, when resized, the corner
  for (const cell of data.cells) {
    const [x, y, width, height] = cell.box;
    const group = svgElement("g", { class: cell.id === data.chosen ? "cell chosen" : "cell" });
    const box = svgElement("rect", { x, y, width, height, stroke: cell.colour });
    if (cell.dashes) box.setAttribute("stroke-dasharray", cell.dashes);
    const number = svgElement("text", {
      x: x + 2,
      y: y > fontSize ? y - fontSize / 4 : y + fontSize,
      "font-size": fontSize,
      fill: cell.colour,
      "stroke-width": fontSize / 7,
    });
    number.textContent = cell.number;
    const title = svgElement("title");
    title.textContent = cell.title;
    group.append(title, box, number);
    if (data.mode !== "add") {
      group.setAttribute("tabindex", "0");
      group.setAttribute("role", "button");
      group.setAttribute("aria-label", cell.title);
      const pick = () => {
        const { sample, version, mode } = data;
        setTriggerValue("picked", { sample, version, mode, id: cell.id });
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
  sizeHandles();

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
    grasped.number.setAttribute("x", box.x + 2);
    grasped.number.setAttribute("y", box.y > fontSize ? box.y - fontSize / 4 : box.y + fontSize);
    sizeHandles();
  }

  // The cell whose box a line divides: it holds the middle of the line, and is the smallest.
  function divided(line) {
    const x = (line.start[0] + line.end[0]) / 2;
    const y = (line.start[1] + line.end[1]) / 2;
    const holds = ({ box: [left, top, width, height] }) =>
      x >= left && x <= left + width && y >= top && y <= top + height;
    const area = ({ box }) => box[2] * box[3];
    const held = data.cells.filter(holds).sort((a, b) => area(a) - area(b));
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
  function release() {
    start = null;
    pointer = null;
    grasped = null;
  }
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (pointer !== null && event.pointerId !== pointer)) return;
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
  svg.addEventListener("pointercancel", () => {
    if (grasped) showGrasped(grasped.from);
    release();
    drawn?.remove();
    drawn = null;
  });
  svg.addEventListener("pointerleave", (event) => {
    if (!svg.hasPointerCapture(event.pointerId)) release();
  });
  svg.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.shiftKey && view.width === data.width && event.deltaY > 0) return;
      event.preventDefault();
      const here = point(event);
      const factor = Math.exp(event.deltaY / 500);
      showView({
        width: view.width * factor,
        x: here.x - (here.x - view.x) * factor,
        y: here.y - (here.y - view.y) * factor,
      });
    },
    { passive: false },
  );
  svg.addEventListener("dblclick", () => showView({ x: 0, y: 0, width: data.width }));
}
