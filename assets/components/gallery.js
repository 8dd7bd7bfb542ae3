// White cells grouped by type. Choosing and dragging happen here; Python hears of a drop only:
// one message with the ids of the cells, their new type and the version of the sample.
const chosenBy = new WeakMap();

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const chosen = chosenBy.get(parentElement) ?? new Set();
  chosenBy.set(parentElement, chosen);
  const known = new Set(data.groups.flatMap((group) => group.cells.map((cell) => cell.id)));
  for (const id of chosen) if (!known.has(id)) chosen.delete(id);

  let root = parentElement.querySelector(".gallery");
  if (!root) {
    root = element("div", "gallery");
    parentElement.appendChild(root);
  }
  root.replaceChildren();
  root.classList.toggle("readonly", data.readonly);
  const status = element("div", "status");
  status.setAttribute("aria-live", "polite");
  root.appendChild(status);

  const buttons = [];
  let last = null;

  function show() {
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(chosen.has(button.cellId)));
    }
    if (data.readonly) status.textContent = "";
    else if (chosen.size) status.textContent = `${chosen.size} chosen: drag them to a type.`;
    else status.textContent = "Click a cell to choose it; Ctrl adds one, Shift a row. Drag to a type.";
  }

  function choose(button, event) {
    if (data.readonly) return;
    const place = buttons.indexOf(button);
    if (event.shiftKey && last !== null) {
      const [from, to] = [Math.min(place, last), Math.max(place, last)];
      for (const between of buttons.slice(from, to + 1)) chosen.add(between.cellId);
    } else if (event.ctrlKey || event.metaKey) {
      if (!chosen.delete(button.cellId)) chosen.add(button.cellId);
      last = place;
    } else {
      const alone = chosen.size === 1 && chosen.has(button.cellId);
      chosen.clear();
      if (!alone) chosen.add(button.cellId);
      last = place;
    }
    show();
  }

  for (const group of data.groups) {
    const box = element("section", "group");
    box.style.setProperty("--colour", group.colour);
    const heading = element("div", "heading");
    heading.append(element("b", "", group.name), element("span", "", group.figures));
    const cells = element("div", "cells");
    box.append(heading, cells);
    root.appendChild(box);

    if (group.target && !data.readonly) {
      let depth = 0; // dragenter and dragleave come for every child too
      box.addEventListener("dragenter", (event) => {
        event.preventDefault();
        depth += 1;
        box.classList.add("over");
      });
      box.addEventListener("dragover", (event) => event.preventDefault());
      box.addEventListener("dragleave", () => {
        depth -= 1;
        if (depth === 0) box.classList.remove("over");
      });
      box.addEventListener("drop", (event) => {
        event.preventDefault();
        depth = 0;
        box.classList.remove("over");
        const own = new Set(group.cells.map((cell) => cell.id));
        const ids = [...chosen].filter((id) => !own.has(id));
        chosen.clear();
        show();
        if (ids.length) {
          setTriggerValue("moved", {
            sample: data.sample,
            version: data.version,
            label: group.key,
            ids,
          });
        }
      });
    }

    for (const cell of group.cells) {
      // Not a <button>: Firefox drags none.
      const button = element("div", cell.uncertain ? "cell uncertain" : "cell");
      button.setAttribute("role", "button");
      button.tabIndex = 0;
      button.cellId = cell.id;
      button.draggable = !data.readonly;
      button.title = cell.title;
      const image = element("img");
      image.src = cell.src;
      image.alt = cell.title;
      button.append(image, element("div", "", cell.caption));
      button.addEventListener("click", (event) => choose(button, event));
      button.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          choose(button, event);
        }
      });
      button.addEventListener("dragstart", (event) => {
        if (!chosen.has(cell.id)) {
          chosen.clear();
          chosen.add(cell.id);
          show();
        }
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", String(chosen.size));
      });
      buttons.push(button);
      cells.appendChild(button);
    }
  }
  show();
}
