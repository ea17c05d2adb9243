"use strict";
// Keeps the page as the server has it. What stays the same is left in place: focus, selection and the bars' motion live on.
(() => {
  const live = document.getElementById("live");
  const RETRY_MS = 2000;
  const QUIET_MS = 14000;
  let source = null;
  let heard = 0;
  let retry = 0;

  const say = (text, state) => {
    if (live.textContent !== text) live.textContent = text;
    live.className = state;
  };

  const alike = (one, other) =>
    one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");

  const morph = (from, to) => {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    morphChildren(from, to);
  };

  const morphChildren = (from, to) => {
    let at = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      // A row keeps its element when rows before it come or go.
      const own = wanted.id && [...from.children].find((child) => child.id === wanted.id);
      if (own && own !== at) {
        from.insertBefore(own, at);
        at = own;
      }
      if (at && alike(at, wanted)) {
        morph(at, wanted);
        at = at.nextSibling;
      } else {
        from.insertBefore(wanted, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const show = (update) => {
    for (const [id, html] of Object.entries(update)) {
      // Parsed apart from the page: nothing in it runs or loads.
      const parsed = new DOMParser().parseFromString(`<main>${html}</main>`, "text/html");
      morphChildren(document.getElementById(id), parsed.querySelector("main"));
    }
  };

  const leave = () => {
    clearTimeout(retry);
    if (source) source.close();
    source = null;
  };

  const connect = () => {
    leave();
    if (document.hidden) return;
    heard = Date.now();
    source = new EventSource(`/live?page=${encodeURIComponent(location.pathname)}`);
    source.onmessage = (message) => {
      heard = Date.now();
      say("live", "on");
      show(JSON.parse(message.data));
    };
    source.onerror = () => {
      say("not connected, trying again", "off");
      leave();
      retry = setTimeout(connect, RETRY_MS);
    };
  };

  // A balancer that hangs, or vanished without a word.
  setInterval(() => {
    if (source && Date.now() - heard > QUIET_MS) source.onerror();
  }, 1000);
  // Nobody looks at a hidden page: it costs nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      leave();
      say("paused", "");
    } else {
      connect();
    }
  });
  connect();
})();
