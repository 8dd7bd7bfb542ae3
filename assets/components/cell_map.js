// The map of cells: a dot a cell, coloured by type. Pointing at a dot shows the cell, a click sends
// its index to Python. Dots of cells that the filter leaves out are faint.
const charts = new WeakMap();
const REACH = 14; // CSS pixels from a dot within which it is pointed at

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  charts.get(parentElement)?.abort();
  const ended = new AbortController();
  charts.set(parentElement, ended);
  const listen = (target, event, act) =>
    target.addEventListener(event, act, { signal: ended.signal });

  parentElement.querySelector(".map")?.remove();
  const root = element("div", "map");
  const canvas = element("canvas", "dots");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", data.title);
  const tip = element("div", "tip");
  const picture = element("div", "picture");
  const words = element("div", "words");
  tip.append(picture, words);
  root.append(canvas, tip);
  parentElement.appendChild(root);

  const sprite = data.sprite ? new Image() : null;
  if (sprite) sprite.src = data.sprite;
  const pen = canvas.getContext("2d");
  let width = 0;
  let height = 0;
  const margin = 14;
  const x = (index) => margin + data.x[index] * (width - 2 * margin);
  const y = (index) => margin + data.y[index] * (height - 2 * margin);

  function ring(at, radius, colour) {
    pen.beginPath();
    pen.arc(at[0], at[1], radius, 0, 2 * Math.PI);
    pen.lineWidth = 3;
    pen.strokeStyle = colour;
    pen.stroke();
  }

  function draw() {
    width = root.clientWidth;
    height = canvas.clientHeight;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const radius = width < 500 ? 2.6 : 4;
    for (const wanted of [false, true]) {
      for (let index = 0; index < data.x.length; index += 1) {
        if (data.shown[index] !== wanted) continue;
        pen.globalAlpha = wanted ? 0.85 : 0.1;
        pen.fillStyle = data.colours[data.types[index]];
        pen.beginPath();
        pen.arc(x(index), y(index), radius, 0, 2 * Math.PI);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
    const ink = getComputedStyle(root).color;
    if (data.chosen !== null) ring([x(data.chosen), y(data.chosen)], radius + 5, ink);
  }

  function nearest(event) {
    const bounds = canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - bounds.left, event.clientY - bounds.top];
    let best = null;
    let least = REACH * REACH;
    for (let index = 0; index < data.x.length; index += 1) {
      if (!data.shown[index]) continue;
      const distance = (x(index) - px) ** 2 + (y(index) - py) ** 2;
      if (distance < least) [best, least] = [index, distance];
    }
    return best;
  }

  function point(index) {
    canvas.style.cursor = index === null ? "default" : "pointer";
    tip.classList.toggle("on", index !== null);
    if (index === null) return;
    words.textContent = data.names[index];
    picture.style.display = sprite ? "block" : "none";
    if (sprite) {
      const { columns } = data;
      const [column, row] = [index % columns, Math.floor(index / columns)];
      const side = picture.clientWidth || 96;
      picture.style.backgroundImage = `url(${data.sprite})`;
      picture.style.backgroundSize = `${columns * side}px auto`;
      picture.style.backgroundPosition = `-${column * side}px -${row * side}px`;
    }
    const left = x(index) > width / 2 ? x(index) - tip.offsetWidth - 12 : x(index) + 12;
    const top = Math.min(Math.max(y(index) - tip.offsetHeight / 2, 0), height - tip.offsetHeight);
    tip.style.transform = `translate(${Math.max(left, 0)}px, ${top}px)`;
  }

  listen(canvas, "pointermove", (event) => point(nearest(event)));
  listen(canvas, "pointerleave", () => point(null));
  listen(canvas, "click", (event) => {
    const index = nearest(event);
    point(index);
    if (index !== null) setTriggerValue("picked", index);
  });
  const observer = new ResizeObserver(draw);
  observer.observe(root);
  draw();
  return () => {
    observer.disconnect();
    ended.abort();
  };
}
