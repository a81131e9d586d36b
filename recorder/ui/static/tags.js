// Tags changed where they stand.
import { make, say, shown, tell } from "./kit.js";

/** A box with the tags in the place of `place`; `done(changed)` when it is closed. */
export function editTags(row, place, done) {
  const box = make("input", { type: "text", value: row.tags.join(" "), "aria-label": "Tags, with spaces between them", autocomplete: "off", spellcheck: false });
  const trouble = make("span", { class: "bad", role: "alert" });
  const form = make("form", { class: "tag-form" }, box, make("button", { type: "submit" }, "Save"), make("button", { type: "button", onclick: () => done(false) }, "Cancel"), trouble);
  form.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.preventDefault(); done(false); } });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const now = [...new Set(box.value.split(/\s+/).filter(Boolean))];
    const add = now.filter((tag) => !row.tags.includes(tag)), remove = row.tags.filter((tag) => !now.includes(tag));
    if (!add.length && !remove.length) { done(false); return; }
    try {
      await tell(`/api/v1/sessions/${encodeURIComponent(row.id)}/tags`, { add, remove });
      say(`Tags of ${row.id.slice(-6)}: ${now.map(shown).join(" ") || "none"}`);
      done(true);
    } catch (error) { trouble.textContent = shown(error.message); }
  });
  place.replaceChildren(form);
  box.focus();
}
