// Holds back presses that label a cell until it has been on the screen for a moment: a double click
// or a second press of a key was meant for the cell before. Keys are those of `data.keys`; the
// buttons of a cell are in the element with the class `data.buttons` and its id.
const MOMENT = 250; // milliseconds; nobody recognises a cell and acts in less
const states = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  let state = states.get(parentElement);
  if (!state) {
    state = {};
    states.set(parentElement, state);
    const hold = (event) => {
      const labels =
        event.type === "keydown"
          ? state.keys.includes(event.key.toLowerCase()) && !event.target.closest?.("input, textarea")
          : event.target.closest?.(`[class*="${state.buttons}"]`);
      // Buttons of the next cell may be there before this component knows of it.
      const known = document.querySelector(`.${state.buttons}${state.cell}`);
      if (!labels || (known && performance.now() >= state.open)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    for (const type of ["keydown", "click"]) window.addEventListener(type, hold, true);
    state.end = () => {
      for (const type of ["keydown", "click"]) window.removeEventListener(type, hold, true);
      states.delete(parentElement);
    };
  }
  state.keys = data.keys;
  state.buttons = data.buttons;
  if (state.cell !== data.cell) {
    state.cell = data.cell;
    state.open = Infinity;
    // The second frame begins once the first one, with the cell in it, is painted.
    requestAnimationFrame(() =>
      requestAnimationFrame(() => (state.open = performance.now() + MOMENT)),
    );
  }
  return state.end;
}
