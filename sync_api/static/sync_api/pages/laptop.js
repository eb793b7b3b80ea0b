// Follows a push and keeps the texts of the page up to date. Without it the page works as well: the button then loads
// the page again. The server makes every text; this only puts them in their places.
"use strict";

(function () {
  const form = document.getElementById("send");
  if (!form) return;
  const RUNNING_MS = 700;
  const IDLE_MS = 15000;
  const byId = (id) => document.getElementById(id);
  const button = byId("button");
  let timer = 0;
  let isRunning = form.dataset.running === "running";

  function put(id, text) {
    const place = byId(id);
    if (place && place.textContent !== text) place.textContent = text; // unchanged texts are not read out again
  }

  function show(now) {
    byId("lost").hidden = true;
    byId("verdict").dataset.answer = now.answer;
    put("answer", now.answer);
    put("reason", now.reason);
    put("next-step", now.next_step);
    for (const count of now.counts) {
      put("count-" + count.name, count.number);
      if (count.name === "carried") byId("count-carried").parentElement.hidden = count.number === "0";
    }
    const sending = now.sending;
    isRunning = sending.state === "running";
    put("button", now.button);
    put("line", sending.line);
    put("what", sending.what);
    put("to-do", sending.to_do);
    put("detail", sending.detail);
    byId("trouble").hidden = sending.state !== "failed";
    const progress = byId("progress");
    progress.hidden = !isRunning;
    if (sending.total) {
      progress.max = sending.total;
      progress.value = sending.sent;
    } else {
      progress.removeAttribute("value");
    }
    if (isRunning) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }

  function lose(text) {
    const lost = byId("lost");
    lost.textContent = text;
    lost.hidden = false;
  }

  async function ask(address, options) {
    clearTimeout(timer);
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store", ...options });
      if (answer.status === 401) return lose("You were logged out. Load this page again and log in.");
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
    } catch (error) {
      lose("The program on this laptop does not answer. Wait a moment; if it stays so, call for help.");
    }
    timer = setTimeout(look, isRunning ? RUNNING_MS : IDLE_MS);
  }

  function look() {
    if (document.hidden) timer = setTimeout(look, IDLE_MS);
    else ask(form.dataset.state);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isRunning) return;
    isRunning = true;
    button.setAttribute("aria-disabled", "true");
    ask(form.action, { method: "POST", body: new FormData(form) });
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask(form.dataset.state);
  });
  timer = setTimeout(look, isRunning ? RUNNING_MS : IDLE_MS);
})();
