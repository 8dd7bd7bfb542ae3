// Helpers of all components; `ui.components.browser` puts them before each script.
function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function put(parent, tag, attributes = {}, text = undefined) { // a new element at the end of another
  const node = element(tag, "", text);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.append(node);
  return node;
}

