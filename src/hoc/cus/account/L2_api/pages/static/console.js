// What makes the pages nicer. Each works without it, except the ones that read a code from a link's fragment.

// A link with `data-dialog` opens its page's content in a dialog.
async function openDialog(link) {
  const response = await fetch(link.href, { headers: { Accept: "text/html" }, redirect: "error" });
  if (!response.ok) throw new Error("not a page to show here");
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const content = page.querySelector("main .narrow-page");
  const title = document.createElement("h2");
  title.id = "dialog-title";
  title.textContent = page.querySelector("h1").textContent;
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", title.id);
  // Ids stay unique although the page may have the same fields.
  for (const each of content.querySelectorAll("[id]")) each.id = `dialog-${each.id}`;
  for (const each of content.querySelectorAll("[for]")) each.htmlFor = `dialog-${each.htmlFor}`;
  for (const each of content.querySelectorAll("[aria-describedby]")) {
    const ids = each.getAttribute("aria-describedby").split(" ");
    each.setAttribute("aria-describedby", ids.map((id) => `dialog-${id}`).join(" "));
  }
  dialog.append(title, document.importNode(content, true));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  // What cannot be undone is not what the first key press does.
  if (document.activeElement.matches(".danger")) dialog.querySelector("[data-close]").focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openDialog(link).catch(() => location.assign(link.href));
});

// A form is sent once, and says that it is at work.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.ariaBusy === "true") {
    event.preventDefault();
    return;
  }
  form.ariaBusy = "true";
  event.submitter?.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[aria-busy]")) {
    form.removeAttribute("aria-busy");
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  }
});

// An open list of projects closes by Escape, and by a click beside it.
document.addEventListener("keydown", (event) => {
  const open = document.querySelector(".switcher details[open]");
  if (event.key === "Escape" && open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  const open = document.querySelector(".switcher details[open]");
  if (open && !open.contains(event.target)) open.open = false;
});

// On a narrow screen the menu begins closed.
if (matchMedia("(max-width: 48rem)").matches) document.querySelector(".menu")?.removeAttribute("open");

// Times of a reader without a time zone in the profile: the browser's zone.
function showLocalTimes(within) {
  for (const time of within.querySelectorAll("time[data-local]")) {
    const date = { day: "numeric", month: "short", year: "numeric" };
    const clock = time.dataset.local === "minute" ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : {};
    time.textContent = new Date(time.dateTime).toLocaleString("en-GB", { ...date, ...clock });
    time.title = new Date(time.dateTime).toString();
  }
}
showLocalTimes(document);

// What shows work under way is read again every two seconds, for a minute at most, until the work is done.
async function readAgain(shown, times) {
  await new Promise((done) => setTimeout(done, 2000));
  if (!document.hidden && !shown.contains(document.activeElement)) {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById(shown.id);
    if (!fresh) return;
    showLocalTimes(fresh);
    shown.replaceChildren(...document.importNode(fresh, true).childNodes);
    if (!("underWay" in fresh.dataset)) return;
  }
  if (times > 1) await readAgain(shown, times - 1);
}
const underWay = document.querySelector("[data-under-way]");
if (underWay) readAgain(underWay, 30).catch(() => {});

// A code that came in the link's fragment, which no server logs, is taken out of the address and sent.
// With `data-from-fragment="wait"`, a person sends it.
function takeCode() {
  const field = document.querySelector("[data-from-fragment]");
  if (!field || location.hash.length < 2) return;
  field.value = decodeURIComponent(location.hash.slice(1)).replace(/^token=/, "");
  history.replaceState(null, "", location.pathname);
  field.closest(".field").hidden = true;
  if (field.dataset.fromFragment === "wait") field.form.querySelector("button").focus();
  else field.form.requestSubmit();
}
addEventListener("hashchange", takeCode);
takeCode();

// Who has no time zone in the profile sees which one the browser has.
const zone = document.querySelector("[data-zone]");
if (zone) zone.placeholder = Intl.DateTimeFormat().resolvedOptions().timeZone ?? zone.placeholder;

document.querySelector("[aria-invalid=true]")?.focus();
