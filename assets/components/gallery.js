// White cells grouped by type. The browser handles selection, dragging and label keys. Each drop or
// key sends one message to Python: the ids of the cells, their new type and the version of the
// sample. The pointer, the focus or a finger on a cell enlarges it.
const selections = new WeakMap();
const ENLARGED = 300; // CSS pixels, as in the style sheet
const DELAY = 300; // milliseconds until a cell under the pointer is enlarged
const ANSWER = 3000; // milliseconds in which Python draws the new state; until then nothing is sent

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
  clearTimeout(root.timer);
  root.classList.toggle("readonly", data.readonly);
  const status = element("div", "status");
  status.setAttribute("aria-live", "polite");
  root.appendChild(status);
  const enlarged = element("figure", "enlarged");
  enlarged.append(element("img"), element("figcaption"));
  enlarged.hidden = true;

  const buttons = [];
  let last = null;

  function show() {
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(selected.has(button.cellId)));
    }
    if (data.readonly) status.textContent = "";
    else if (selected.size) status.textContent = `${selected.size} selected. Drag to a type, or press its key.`;
    else {
      status.textContent =
        "Click a cell to select it. Ctrl adds a cell, Shift a range. Drag to a type, or press its key.";
    }
  }

  let sent = -Infinity;
  function send(label, ids) {
    if (!ids.length || performance.now() - sent < ANSWER) return;
    sent = performance.now();
    selected.clear();
    show();
    const { sample, version } = data;
    setTriggerValue("moved", { sample, version, label, ids });
  }

  function hide() {
    clearTimeout(root.timer);
    enlarged.hidden = true;
  }

  function enlarge(button, cell) {
    hide();
    const [image, caption] = enlarged.children;
    image.src = cell.src;
    image.alt = "";
    caption.textContent = cell.title;
    enlarged.hidden = false;
    const { left, right, top, bottom } = button.getBoundingClientRect();
    const { height } = enlarged.getBoundingClientRect();
    // Beside the cell where there is room, else below or above it.
    const beside = [right + 8, left - ENLARGED - 8].find(
      (x) => x >= 0 && x + ENLARGED <= window.innerWidth,
    );
    const x = beside ?? (window.innerWidth - ENLARGED) / 2;
    const y = beside !== undefined ? top : bottom + height + 8 < window.innerHeight ? bottom + 8 : top - height - 8;
    enlarged.style.left = `${Math.max(x, 0)}px`;
    enlarged.style.top = `${Math.max(Math.min(y, window.innerHeight - height - 8), 0)}px`;
  }

  root.onkeydown = (event) => {
    if (event.key === "Escape") hide();
    const label = data.keys[event.key.toLowerCase()];
    if (data.readonly || !label || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    hide();
    send(label, [...selected]);
  };

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
    if (group.target && group.shortcut && !data.readonly) {
      const key = element("kbd", "", group.shortcut);
      key.title = "Labels the selected cells";
      heading.append(key);
    }
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
        send(
          group.key,
          [...selected].filter((id) => !own.has(id)),
        );
      });
    }

    for (const cell of group.cells) {
      // Not a <button>: Firefox cannot drag buttons.
      const button = element("div", cell.uncertain ? "cell uncertain" : "cell");
      button.setAttribute("role", "button");
      button.tabIndex = 0;
      button.cellId = cell.id;
      button.draggable = !data.readonly;
      button.setAttribute("aria-label", cell.title);
      const image = element("img");
      image.src = cell.src;
      image.alt = "";
      button.append(image, element("div", "", cell.caption));
      button.addEventListener("click", (event) => {
        select(button, event);
        if (event.pointerType === "touch") enlarge(button, cell);
      });
      button.addEventListener("pointerenter", (event) => {
        if (event.pointerType !== "mouse") return;
        clearTimeout(root.timer);
        root.timer = setTimeout(() => enlarge(button, cell), DELAY);
      });
      button.addEventListener("pointerleave", hide);
      button.addEventListener("blur", hide);
      button.addEventListener("focus", () => {
        if (button.matches(":focus-visible")) enlarge(button, cell);
      });
      button.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          select(button, event);
        }
      });
      button.addEventListener("dragstart", (event) => {
        hide();
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
  root.appendChild(enlarged);
  root.onwheel = hide;
  show();
}
