// What was wrong in the call, worst first.
import { brief, byId, clockText, make } from "./base.js";
import { call } from "./data.js";
import { chooseEvent, emit, lightUp, moveTo, on, show, view } from "./view.js";

const list = byId("findings").querySelector("ul");

function goTo(finding) {
  emit("jump");
  if (finding.at_ns !== null) {
    const time = finding.at_ns / 1e9;
    if (view.to - view.from > 120) show(time - 10, time + 20);
    moveTo(time);
  }
  lightUp(finding.evidence);
  if (finding.evidence.length) chooseEvent(finding.evidence[0]);
}

function fill() {
  list.replaceChildren();
  for (const found of call.findings) {
    list.append(make("li", {}, make("button", { type: "button", onclick: () => goTo(found) },
      make("span", { class: found.severity, textContent: found.severity }),
      make("span", { class: "time", textContent: found.at_ns === null ? "" : clockText(found.at_ns / 1e9, 1) }),
      make("span", { class: "sentence", textContent: brief(found.sentence, 2000) }),
      make("span", { class: "owner dim", textContent: brief(found.owner) }))));
  }
  if (!call.findings.length) list.append(make("li", { class: "none", textContent: "Nothing was found to be wrong." }));
}

export function startFindings() {
  fill();
  on("grown", fill);
  on("finding", goTo);
}

/** The next finding after the cursor, or the first. */
export function nextFinding() {
  const timed = call.findings.filter((found) => found.at_ns !== null).sort((one, other) => one.at_ns - other.at_ns);
  const found = timed.find((each) => each.at_ns / 1e9 > view.time + 1e-6) ?? timed[0];
  if (found) goTo(found);
}
