"use strict";
(() => {
  const drawn = JSON.parse(document.getElementById("drawn").textContent);
  const boxes = [...document.querySelectorAll(".plot")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  // Pixels that a figure has on a sheet of A4: across it, beside another figure, or beside the settings of a GPU.
  const printWidth = (box) => (box.closest(".figures") ? 330 : box.closest(".two") ? 400 : 690);
  // The courses over time are flatter there, and no figure is higher than a sheet.
  const printHeight = (box) => Math.min(840, drawn.figures[box.id].layout.height * (box.closest("details > figure") ? 0.6 : 1));
  const mostRows = matchMedia("(max-width: 56rem)").matches ? 25 : 100; // of adapters, until all are asked for
  const forPaper = new Set(); // figures that were first drawn for printing, which cannot be resized to the window
  let printing = false;
  document.documentElement.classList.add("script");
  const look = () => (dark.matches && !printing ? drawn.dark : drawn.light);

  // Plotly is large: it is run when the page can be used already, or when the first figure comes into view.
  const load = () => {
    if (window.Plotly) return;
    const script = document.createElement("script");
    script.textContent = document.getElementById("plotly").textContent;
    document.head.append(script);
  };
  const draw = (box) => {
    if (box.classList.contains("js-plotly-plot")) return;
    watch.unobserve(box);
    load();
    const { data, layout } = drawn.figures[box.id];
    // A finger on a figure should scroll the page, not zoom the figure.
    const dragmode = touch ? false : "zoom";
    if (printing) forPaper.add(box);
    const width = printing ? { width: printWidth(box), height: printHeight(box) } : {};
    Plotly.newPlot(box, data, { ...layout, ...width, dragmode, template: look() }, { displayModeBar: false, responsive: true });
  };
  const redraw = () => {
    for (const box of document.querySelectorAll(".js-plotly-plot")) {
      const { height } = drawn.figures[box.id].layout;
      const size = printing
        ? { width: printWidth(box), height: printHeight(box), autosize: false }
        : { width: null, height, autosize: true };
      box.style.height = `${size.height}px`;
      Plotly.relayout(box, { ...size, template: look() });
    }
  };

  // Hundreds of GPUs have hundreds of figures: each is drawn when it comes into view, and all for printing.
  const watch = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) draw(target);
    }
  }, { rootMargin: "400px" });
  const drawWhenSeen = (box) => {
    const { height } = drawn.figures[box.id].layout;
    box.style.height = `${height}px`;
    watch.observe(box);
  };
  boxes.forEach(drawWhenSeen);

  addEventListener("load", () => (window.requestIdleCallback ?? setTimeout)(load));

  const openTarget = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", openTarget);
  openTarget();
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    printing = true;
    for (const box of boxes) if (box.offsetParent !== null) draw(box);
    redraw();
  });
  addEventListener("afterprint", () => {
    printing = false;
    for (const box of forPaper) {
      Plotly.purge(box);
      box.classList.remove("js-plotly-plot");
      drawWhenSeen(box);
    }
    forPaper.clear();
    redraw();
  });

  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));

  const quoted = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const download = (columns) => {
    const keys = Object.keys(columns);
    const lines = [keys, ...columns[keys[0]].map((_, place) => keys.map((key) => columns[key][place]))];
    const csv = lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
    link.download = "adapters.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const collator = new Intl.Collator("en", { numeric: true });
  // A table of adapters: rows are found by words in any column, sorted by a column, and shown up to a number.
  const tableOf = (section) => {
    const table = section.querySelector(".adapter-table");
    const columns = JSON.parse(section.querySelector(".columns").textContent);
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, text: row.textContent.toLowerCase() }));
    const [search, found, all] = [".tools input", ".found", ".all"].map((name) => section.querySelector(name));
    let most = mostRows;
    const show = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let hits = 0;
      for (const { row, text } of rows) {
        const hit = words.every((word) => text.includes(word));
        row.hidden = !hit || hits >= most;
        hits += hit;
      }
      const shown = Math.min(hits, most);
      found.textContent = `${shown.toLocaleString("en")} of ${hits.toLocaleString("en")}`;
      all.hidden = shown === hits;
    };
    const sort = (head, key) => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const values = columns[key];
      const compare = (a, b) => {
        const [first, second] = [values[a.place], values[b.place]];
        if (first === null || second === null) return (first === null) - (second === null);
        const order = typeof first === "number" ? first - second : collator.compare(first, second);
        return down ? -order : order;
      };
      rows.sort(compare);
      body.append(...rows.map(({ row }) => row));
      show();
    };
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(head, head.dataset.key));
      head.append(button);
    }
    search.addEventListener("input", show);
    all.addEventListener("click", () => { most = Infinity; show(); });
    section.querySelector(".csv").addEventListener("click", () => download(columns));
    section.querySelector(".tools").hidden = false;
    show();
    table.classList.add("ready");
    return (text) => { search.value = text; show(); };
  };
  const find = new Map([...document.querySelectorAll("section.adapters")].map((each) => [each.id, tableOf(each)]));
  for (const link of document.querySelectorAll("a[data-find]")) {
    link.addEventListener("click", () => find.get(link.hash.slice(1))(link.dataset.find));
  }
})();
