// Replaces the answer in place. Without this script the form loads the page again, with the same answer in it.
"use strict";

const form = document.querySelector("form");
const answer = document.getElementById("answer");
const button = form.querySelector("button");

function complain(text) {
  const line = document.createElement("p");
  line.className = "error";
  line.setAttribute("role", "alert");
  line.textContent = text;
  answer.replaceChildren(line);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  answer.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById("answer");
    if (fresh) answer.replaceChildren(...fresh.childNodes);
    else complain(`The server refused the request (${response.status}).`);
  } catch {
    complain("The server can't be reached; is it still running?");
  } finally {
    button.disabled = false;
    answer.removeAttribute("aria-busy");
  }
});
