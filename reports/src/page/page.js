"use strict";
// Zooms the picture by moving what the page already holds, and shows what a mark stands for.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const picture = document.getElementById("picture");
  const details = document.getElementById("details");
  const number = (name) => Number(picture.dataset[name]);
  const [end, left, right, axis] = ["end", "left", "right", "axis"].map(number);
  const marks = [...picture.querySelectorAll(".mark")];
  let [from, to] = [0, end];
  let chosen = null;

  const x = (at) => left + ((at - from) / (to - from)) * (right - left);
  const seconds = (ns) => (ns / 1e9).toFixed(6) + " s";

  function draw() {
    for (const one of picture.querySelectorAll("[data-at]")) {
      one.setAttribute("transform", `translate(${x(+one.dataset.at).toFixed(1)} ${one.dataset.y})`);
    }
    for (const one of picture.querySelectorAll("rect[data-from]")) {
      // Far outside the view a rectangle would be wider than drawing code can hold.
      const start = Math.max(x(+one.dataset.from), -100);
      const stop = Math.min(x(+one.dataset.to), right + 1000);
      one.setAttribute("x", start.toFixed(1));
      one.setAttribute("width", Math.max(stop - start, stop < start ? 0 : 1.5).toFixed(1));
    }
    for (const one of picture.querySelectorAll("[data-points]")) {
      const points = one.dataset.points.split(" ").map((point) => point.split(","));
      const path = points.map(([at, y], index) => `${index ? "L" : "M"}${x(+at).toFixed(1)} ${y}`).join("");
      one.setAttribute("d", points.length > 1 ? path : path + "h3");
    }
    ticks();
  }

  function ticks() {
    const group = document.getElementById("ticks");
    group.replaceChildren();
    let step = 1000;
    for (let place = 0; Math.floor((to - from) / step) > 12; place++) step = [2, 5, 10][place % 3] * 10 ** (3 + Math.floor(place / 3));
    for (let tick = Math.ceil(from / step); tick * step <= to; tick++) {
      const at = x(tick * step).toFixed(1);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      line.setAttribute("class", "tick");
      line.setAttribute("d", `M${at} 24V${axis - 4}`);
      const name = document.createElementNS("http://www.w3.org/2000/svg", "text");
      name.setAttribute("class", "tick-name");
      name.setAttribute("x", at);
      name.setAttribute("y", axis + 12);
      const digits = Math.max(0, 9 - Math.floor(Math.log10(step)));
      name.textContent = ((tick * step) / 1e9).toFixed(digits) + " s";
      group.append(line, name);
    }
  }

  function show(start, stop) {
    const width = Math.min(Math.max(stop - start, 20000), end);
    from = Math.min(Math.max(start, 0), end - width);
    to = from + width;
    draw();
  }

  function zoom(factor, at = chosen ? +chosen.dataset.at : (from + to) / 2) {
    const middle = at < from || at > to ? (from + to) / 2 : at;
    show(middle - (middle - from) * factor, middle + (to - middle) * factor);
  }

  function choose(mark) {
    if (chosen) chosen.classList.remove("chosen");
    chosen = mark;
    for (const one of picture.querySelectorAll(".on-way")) one.classList.remove("on-way");
    picture.classList.toggle("one-way", Boolean(mark && mark.dataset.way));
    details.hidden = !mark;
    if (!mark) return;
    mark.classList.add("chosen");
    for (const one of picture.querySelectorAll("[data-way]")) {
      if (one.dataset.way === mark.dataset.way || one.dataset.way === "") one.classList.add("on-way");
    }
    const what = data.marks[+mark.dataset.mark];
    const lane = data.lanes[what.lane];
    details.textContent = `${seconds(what["at-ns"])}  ${lane.name} ${what.text}  (${what.word}; role ${lane.role}${lane.domains.map((domain) => ", " + domain).join("")})`;
    const at = +mark.dataset.at;
    if (at < from || at > to) show(at - (to - from) / 2, at + (to - from) / 2);
    mark.focus({ preventScroll: true });
  }

  // The next mark of the same lane, or the nearest in time of the next lane.
  function step(key) {
    if (!marks.length) return;
    if (!chosen) return choose(marks.find((mark) => +mark.dataset.at >= from) || marks[0]);
    const [at, y] = [+chosen.dataset.at, +chosen.dataset.y];
    const lane = marks.filter((mark) => +mark.dataset.y === y);
    if (key === "ArrowRight") return choose(lane[lane.indexOf(chosen) + 1] || chosen);
    if (key === "ArrowLeft") return choose(lane[lane.indexOf(chosen) - 1] || chosen);
    const down = key === "ArrowDown";
    const others = marks.map((mark) => +mark.dataset.y).filter((other) => (down ? other > y : other < y));
    if (!others.length) return;
    const next = down ? Math.min(...others) : Math.max(...others);
    const distance = (mark) => Math.abs(+mark.dataset.at - at);
    choose(marks.filter((mark) => +mark.dataset.y === next).reduce((best, mark) => (distance(mark) < distance(best) ? mark : best)));
  }

  document.getElementById("plot-box").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) step(event.key);
    else if (event.key === "+" || event.key === "=") zoom(0.5);
    else if (event.key === "-") zoom(2);
    else if (event.key === "0") show(0, end);
    else if (event.key === "Escape") choose(null);
    else return;
    event.preventDefault();
  });
  picture.addEventListener("click", (event) => choose(event.target.closest(".mark")));
  picture.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const box = picture.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * picture.viewBox.baseVal.width;
    const at = from + ((place - left) / (right - left)) * (to - from);
    zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, at);
  }, { passive: false });
  let held = null;
  picture.addEventListener("pointerdown", (event) => { if (!event.target.closest(".mark")) held = { at: event.clientX, from, to }; });
  window.addEventListener("pointerup", () => { held = null; });
  window.addEventListener("pointermove", (event) => {
    if (!held) return;
    const box = picture.getBoundingClientRect();
    const moved = ((event.clientX - held.at) / box.width) * picture.viewBox.baseVal.width * ((held.to - held.from) / (right - left));
    if (Math.abs(event.clientX - held.at) > 3) show(held.from - moved, held.to - moved);
  });

  document.getElementById("zoom-in").addEventListener("click", () => zoom(0.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(2));
  document.getElementById("zoom-all").addEventListener("click", () => show(0, end));
  for (const button of document.querySelectorAll(".goto")) {
    const [start, stop] = [+button.dataset.from, +button.dataset.to];
    const margin = Math.max((stop - start) / 10, 5e6);
    button.addEventListener("click", () => show(start - margin, stop + margin));
  }
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = !navigator.clipboard;
    const text = document.getElementById(button.dataset.copy).textContent;
    button.addEventListener("click", () => navigator.clipboard.writeText(text).then(() => { button.textContent = "copied"; }));
  }
  document.getElementById("controls").hidden = false;
  document.getElementById("keys").hidden = false;
})();
