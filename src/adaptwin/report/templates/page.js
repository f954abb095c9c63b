"use strict";
(() => {
  const drawn = JSON.parse(document.getElementById("drawn").textContent);
  const boxes = [...document.querySelectorAll(".plot")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const look = () => (dark.matches && !matchMedia("print").matches ? drawn.dark : drawn.light);

  const draw = (box) => {
    if (box.classList.contains("js-plotly-plot")) return;
    const { data, layout } = drawn.figures[box.id];
    // A finger on a figure should scroll the page, not zoom the figure.
    const dragmode = touch ? false : "zoom";
    Plotly.newPlot(box, data, { ...layout, dragmode, template: look() }, { displayModeBar: false, responsive: true });
  };
  const redraw = () => {
    for (const box of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(box, { template: look() });
  };

  // Hundreds of GPUs have hundreds of figures: each is drawn when it comes into view, and all for printing.
  const watch = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) { watch.unobserve(target); draw(target); }
    }
  }, { rootMargin: "400px" });
  for (const box of boxes) {
    const { height } = drawn.figures[box.id].layout;
    box.style.height = `${height}px`;
    watch.observe(box);
  }

  const openTarget = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", openTarget);
  openTarget();
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    for (const box of boxes) if (box.offsetParent !== null) draw(box);
    redraw();
  });
  addEventListener("afterprint", redraw);
})();
