// A field with a box around each white cell. The modes "inspect" and "remove" send the id of the
// clicked cell to Python. The mode "add" sends a new box: a click adds one of the usual size, a drag
// one of any size.
const SVG = "http://www.w3.org/2000/svg";
const views = new WeakMap();
const SMALLEST_DRAG = 6; // CSS pixels; less is a click

function element(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  parentElement.querySelector("svg")?.remove();
  const svg = element("svg", { class: data.mode, role: "group", "aria-label": data.title });
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
      width,
      height,
      x: Math.min(Math.max(next.x, 0), data.width - width),
      y: Math.min(Math.max(next.y, 0), data.height - height),
    };
    views.set(parentElement, view);
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
  }
  showView(view);

  svg.appendChild(
    element("image", { href: data.src, x: 0, y: 0, width: data.width, height: data.height }),
  );
  for (const { points, colour } of data.outlines) {
    svg.appendChild(element("polygon", { class: "outline", points, stroke: colour }));
  }
  const fontSize = Math.max(data.width, data.height) / 45;
  for (const cell of data.cells) {
    const [x, y, width, height] = cell.box;
    const group = element("g", { class: cell.id === data.chosen ? "cell chosen" : "cell" });
    const box = element("rect", { x, y, width, height, stroke: cell.colour });
    if (cell.dashes) box.setAttribute("stroke-dasharray", cell.dashes);
    const number = element("text", {
      x: x + 2,
      y: y > fontSize ? y - fontSize / 4 : y + fontSize,
      "font-size": fontSize,
      fill: cell.colour,
      "stroke-width": fontSize / 7,
    });
    number.textContent = cell.number;
    const title = element("title");
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
        if (!moved) pick();
      });
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          pick();
        }
      });
    }
    svg.appendChild(group);
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
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const { x, y } = point(event);
    start = { x, y, clientX: event.clientX, clientY: event.clientY };
    moved = false;
    if (data.mode === "add") svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!start) return;
    const far = Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY);
    moved ||= far >= SMALLEST_DRAG;
    if (!moved) return;
    if (data.mode === "add") {
      drawn ??= svg.appendChild(element("rect", { class: "drawn" }));
      for (const [name, value] of Object.entries(dragged(event))) drawn.setAttribute(name, value);
    } else {
      const here = point(event);
      showView({ ...view, x: view.x + start.x - here.x, y: view.y + start.y - here.y });
    }
  });
  svg.addEventListener("pointerup", (event) => {
    if (start && data.mode === "add") {
      const side = data.diameter;
      const box = moved
        ? dragged(event)
        : { x: start.x - side / 2, y: start.y - side / 2, width: side, height: side };
      const { sample, version, field } = data;
      setTriggerValue("placed", { sample, version, field, ...box });
    }
    start = null;
  });
  svg.addEventListener("pointercancel", () => {
    start = null;
    drawn?.remove();
    drawn = null;
  });
  svg.addEventListener("pointerleave", () => {
    if (data.mode !== "add") start = null;
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
