// The search box: completions from the language, and what the parser says where it was typed.
import { byId, make, shown } from "./kit.js";

const most = 9;

/** The word that the caret stands in: [where it begins, the word up to the caret]. */
export function wordAt(text, caret) {
  let begin = 0, quote = "";
  for (let at = 0; at < caret; at++) {
    const mark = text[at];
    if (quote) { if (mark === quote) quote = ""; }
    else if (mark === '"' || mark === "'") quote = mark;
    else if (/\s/.test(mark)) begin = at + 1;
  }
  return [begin, text.slice(begin, caret)];
}

/** What can stand in the place of a word: [{ text, help }]. */
export function completions(language, word) {
  const minus = word.startsWith("-") ? "-" : "", bare = word.slice(minus.length), colon = bare.indexOf(":");
  if (colon >= 0) {
    const name = bare.slice(0, colon).toLowerCase(), begun = bare.slice(colon + 1).replace(/^["']/, "").toLowerCase();
    return (language.values[name] ?? []).filter((value) => value.toLowerCase().includes(begun) && value.toLowerCase() !== begun)
      .sort((a, b) => b.toLowerCase().startsWith(begun) - a.toLowerCase().startsWith(begun))
      .slice(0, most).map((value) => ({ text: `${minus}${name}:${quoted(value)} `, shown: value, help: "" }));
  }
  const begun = bare.toLowerCase();
  if (!/^[a-z0-9_]*$/.test(begun)) return [];
  const terms = language.terms.filter((term) => term.name.startsWith(begun)).map((term) => ({ text: `${minus}${term.name}:`, shown: `${term.name}:${term.metavar}`, help: term.help }));
  const figures = begun ? language.figures.filter((each) => each.name.includes(begun) && each.name !== begun)
    .sort((a, b) => b.name.startsWith(begun) - a.name.startsWith(begun))
    .map((each) => ({ text: `${minus}${each.name}>`, shown: `${each.name}>`, help: each.help })) : [];
  return [...terms, ...figures].slice(0, most);
}

const quoted = (value) => (/[\s"']/.test(value) || value === "" ? (value.includes('"') ? `'${value}'` : `"${value}"`) : value);

/** `language` is a promise; `changed(text, entered)` is told what stands in the box. */
export function startSearch({ language, changed }) {
  const box = byId("query"), list = byId("proposals");
  let known = null, options = [], active = -1, place = [0, ""], last = box.value, timer = 0;
  language.then((found) => { known = found; fillGuide(found); }, () => {});

  function close() {
    options = []; active = -1;
    list.hidden = true;
    list.replaceChildren();
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }

  function propose(always = false) {
    place = wordAt(box.value, box.selectionStart ?? box.value.length);
    options = known && (always || place[1]) ? completions(known, place[1]) : [];
    if (!options.length) { close(); return; }
    active = -1;
    list.replaceChildren(...options.map((option, row) => make("li", {
      id: `proposal-${row}`, role: "option", "aria-selected": "false", onmousedown: (event) => { event.preventDefault(); take(row); },
    }, make("b", {}, shown(option.shown)), " ", make("span", {}, option.help))));
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    box.removeAttribute("aria-activedescendant");
  }

  function move(way) {
    if (!options.length) { propose(true); if (!options.length) return; }
    active = active < 0 ? (way > 0 ? 0 : options.length - 1) : (active + way + options.length) % options.length;
    [...list.children].forEach((item, row) => item.setAttribute("aria-selected", String(row === active)));
    box.setAttribute("aria-activedescendant", `proposal-${active}`);
    list.children[active].scrollIntoView({ block: "nearest" });
  }

  function take(row) {
    const end = place[0] + place[1].length, text = options[row].text, rest = box.value.slice(end);
    box.value = box.value.slice(0, place[0]) + text + (text.endsWith(" ") ? rest.trimStart() : rest);
    const caret = place[0] + text.length;
    box.setSelectionRange(caret, caret);
    typed();
    if (text.endsWith(":")) propose(); else close();
  }

  function typed() {
    clearTimeout(timer);
    if (box.value === last) return;
    timer = setTimeout(() => { last = box.value; changed(box.value, false); }, 350);
  }

  box.addEventListener("input", () => { propose(); typed(); });
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); move(event.key === "ArrowDown" ? 1 : -1); }
    else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) { event.preventDefault(); take(active); }
    else if (event.key === "Escape") { if (options.length) { event.stopPropagation(); close(); } else box.blur(); }
  });
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    close();
    last = box.value;
    changed(box.value, true);
  });
  return { set(text) { box.value = text; last = text; close(); } };
}

/** What was not understood, below the box; `instead(text)` is called where something else is meant. */
export function showError(error, query, instead) {
  const place = byId("trouble"), box = byId("query");
  place.hidden = !error;
  box.setAttribute("aria-invalid", String(Boolean(error)));
  if (!error) { place.replaceChildren(); return; }
  const [first, ...rest] = error.message.split("\n");
  const parts = [make("p", { class: "error" }, shown(first)), ...rest.map((line) => make("p", { class: "mono" }, shown(line)))];
  if (error.from !== null) {
    parts.push(make("p", { class: "mono where" }, query.slice(0, error.from), make("mark", { class: "wrong" }, query.slice(error.from, error.to) || " "), query.slice(error.to)));
  }
  if (error.instead) {
    parts.push(make("p", {}, "Meant as words that were said? ", make("button", { type: "button", onclick: () => instead(error.instead) }, shown(error.instead)), make("span", { class: "dim" }, " or press Enter")));
  }
  place.replaceChildren(...parts);
}

function fillGuide(language) {
  byId("rules").textContent = language.rules;
  byId("guide-lines").replaceChildren(...language.guide.flatMap((line) => [make("dt", {}, line.example), make("dd", {}, line.meaning)]));
}
