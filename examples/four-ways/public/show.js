// What the demo pages share: they tell the reader what arrives. Loaded before each demo's own script.
const received = document.querySelector("#received");
const state = document.querySelector("#state");

/** Adds a line on top of what was received. */
function show(text) {
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  const line = document.createElement("span");
  line.textContent = text;
  const item = document.createElement("li");
  item.append(time, line);
  received.prepend(item);
  if (received.children.length > 200) received.lastElementChild.remove();
}

/** Says how the connection is. */
function tell(text) {
  state.textContent = text;
}

// The code that is shown is the code that runs, less its place in the page.
addEventListener("DOMContentLoaded", () => {
  const lines = document.querySelector("#demo").textContent.trimEnd().split("\n").slice(1);
  const indent = lines[0].search(/\S/);
  document.querySelector("#code").textContent = lines.map((line) => line.slice(indent)).join("\n");
});
