// Keys to count the cells of a field. The browser keeps every press in its order and sends the whole
// list after each one, so that no press is lost however fast they come.
const counts = new WeakMap();

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const known = counts.get(parentElement);
  const same = known?.attempt === data.attempt && known?.question === data.question;
  const presses = same ? known.presses : [...data.presses];
  known?.listening.abort();
  const listening = new AbortController();
  counts.set(parentElement, { attempt: data.attempt, question: data.question, presses, listening });

  parentElement.querySelector(".tally")?.remove();
  const root = element("div", "tally");
  const status = element("div", "status");
  status.setAttribute("aria-live", "polite");
  const buttons = new Map();

  function show() {
    for (const [label, shown] of buttons) {
      shown.textContent = presses.filter((press) => press === label).length;
    }
    const all = data.before + presses.length;
    status.textContent = `${presses.length} on this field, ${all} of ${data.wanted} in all`;
    back.disabled = presses.length === 0;
  }
  function send() {
    show();
    setStateValue("presses", {
      attempt: data.attempt,
      question: data.question,
      presses: [...presses],
    });
  }
  function press(label) {
    presses.push(label);
    send();
  }
  function undo() {
    if (presses.pop() !== undefined) send();
  }

  const byKey = new Map();
  const grid = element("div", "keys");
  for (const { label, name, key } of data.types) {
    const button = element("button", "type");
    button.type = "button";
    const shown = element("span", "count");
    button.append(element("span", "key", key.toUpperCase()), element("span", "name", name), shown);
    button.setAttribute("aria-keyshortcuts", key);
    button.addEventListener("click", () => press(label));
    // Enter goes on to the next field; it must not count a cell, too.
    button.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    buttons.set(label, shown);
    byKey.set(key, label);
    grid.appendChild(button);
  }
  const back = element("button", "undo", "Undo (Backspace)");
  back.type = "button";
  back.addEventListener("click", undo);
  root.append(grid, status, back);
  parentElement.appendChild(root);
  show();

  document.addEventListener(
    "keydown",
    (event) => {
      const typing = event.target.closest?.("input, textarea, select, [contenteditable=true]");
      if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      const label = byKey.get(event.key.toLowerCase());
      if (event.key === "Backspace") undo();
      else if (label) press(label);
      else return;
      event.preventDefault();
    },
    { signal: listening.signal },
  );
  return () => listening.abort();
}
