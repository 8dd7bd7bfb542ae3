// White cells grouped by type. The browser handles selection and dragging. Each drop sends one
// message to Python: the ids of the cells, their new type and the version of the sample.
const selections = new WeakMap();

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const selected = selections.get(parentElement) ?? new Set();
  selections.set(parentElement, selected);
  const known = new Set(data.groups.flatMap((group) => group.cells.map((cell) => cell.id)));
  for (const id of selected) if (!known.has(id)) selected.delete(id);

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
      button.setAttribute("aria-pressed", String(selected.has(button.cellId)));
    }
    if (data.readonly) status.textContent = "";
    else if (selected.size) status.textContent = `${selected.size} selected. Drag to a type.`;
    else status.textContent = "Click a cell to select it. Ctrl adds a cell, Shift a range. Drag to a type.";
  }

  function select(button, event) {
    if (data.readonly) return;
    const index = buttons.indexOf(button);
    if (event.shiftKey && last !== null) {
      const [from, to] = [Math.min(index, last), Math.max(index, last)];
      for (const between of buttons.slice(from, to + 1)) selected.add(between.cellId);
    } else if (event.ctrlKey || event.metaKey) {
      if (!selected.delete(button.cellId)) selected.add(button.cellId);
      last = index;
    } else {
      const onlyThis = selected.size === 1 && selected.has(button.cellId);
      selected.clear();
      if (!onlyThis) selected.add(button.cellId);
      last = index;
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
      let depth = 0; // dragenter and dragleave also fire for every child
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
        const ids = [...selected].filter((id) => !own.has(id));
        selected.clear();
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
      // Not a <button>: Firefox cannot drag buttons.
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
      button.addEventListener("click", (event) => select(button, event));
      button.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          select(button, event);
        }
      });
      button.addEventListener("dragstart", (event) => {
        if (!selected.has(cell.id)) {
          selected.clear();
          selected.add(cell.id);
          show();
        }
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", String(selected.size));
      });
      buttons.push(button);
      cells.appendChild(button);
    }
  }
  show();
}
