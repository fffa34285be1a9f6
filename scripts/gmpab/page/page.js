"use strict";
// Draws what page.py has put into #data, a chart into each figure in turn. Colours are
// the style sheet's; when it changes between light and dark, all is drawn again.
(() => {
  const charts = JSON.parse(document.getElementById("data").textContent);
  const figures = document.querySelectorAll("figure.chart");
  const SIDES = ["native", "shim"];
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const faint = (hex) => hex + "33";

  // ---- Numbers: three digits and a prefix, as in the tables ----
  const SCALES = {
    s: [[1, "s"], [1e-3, "ms"], [1e-6, "us"], [1e-9, "ns"]],
    KiB: [[1048576, "GiB"], [1024, "MiB"], [1, "KiB"]],
  };
  const PLAIN = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
  function show(value, unit) {
    if (value === 0) return "0";
    const scale = SCALES[unit] || PLAIN;
    const [size, name] =
      scale.find(([s]) => Math.abs(value) >= s) || scale[scale.length - 1];
    const text = Number((value / size).toPrecision(3)).toString();
    return SCALES[unit] ? `${text} ${name}` : `${text}${name && " " + name} ${unit}`.trim();
  }
  const times = (r) => `${Number(r.toPrecision(3))}×`;

  // ---- Axes ----
  function values(lines) {
    return SIDES.flatMap((s) => lines[s].map((p) => p.y)).filter((y) => y > 0);
  }
  // A logarithmic axis where a linear one would press the smaller side to the ground.
  function wide(found) {
    return found.length > 0 && Math.max(...found) > 12 * Math.min(...found);
  }
  // Along the sweep: from its first value to its last, with a tick at each.
  function along(xs, title, format) {
    const log = wide(xs.filter((v) => v > 0)) && Math.min(...xs) > 0;
    const x = axis(log, title, format);
    x.ticks.callback = format;
    if (xs.length <= 10)
      x.afterBuildTicks = (a) => (a.ticks = xs.map((value) => ({ value })));
    return { ...x, beginAtZero: false, grace: 0,
             min: Math.min(...xs), max: Math.max(...xs) };
  }
  // Upwards: for memory in steps that are powers of two.
  function upwards(found, unit) {
    const y = axis(wide(found), "", (v) => show(v, unit));
    if (unit === "KiB" && y.type === "linear") {
      y.ticks.stepSize = 2 ** Math.ceil(Math.log2(Math.max(...found) / 6));
    } else if (unit === "KiB") {
      y.ticks.callback = (v) => show(v, unit);
      y.afterBuildTicks = (a) => {
        const [low, high] = [a.min, a.max].map(Math.log2);
        const step = Math.ceil((high - low) / 6);
        a.ticks = [];
        for (let i = Math.ceil(low); i <= high; i += step) a.ticks.push({ value: 2 ** i });
      };
    }
    return y;
  }
  // Of a logarithmic axis's many ticks: the round ones, fewer the longer it is.
  function round(value, decades) {
    if (Number(value.toPrecision(2)) !== Number(value.toPrecision(6))) return false;
    const lead = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    const near = (x) => Math.abs(lead - x) < 1e-6;
    if (decades > 2.5) return near(1);
    return decades < 0.7 || near(1) || near(2) || near(5);
  }
  function axis(log, title, format) {
    return {
      type: log ? "logarithmic" : "linear",
      beginAtZero: !log,
      grace: log ? 0 : "5%",
      title: { display: !!title, text: title, color: colour("quiet") },
      grid: { color: colour("rule"), borderColor: colour("rule") },
      ticks: {
        color: colour("quiet"),
        maxTicksLimit: 7,
        maxRotation: 0,
        callback(value, i, ticks) {
          const decades = Math.log10(ticks[ticks.length - 1].value / ticks[0].value);
          return log && !round(value, decades) ? null : format(value);
        },
      },
    };
  }
  const options = (scales, tooltip) => ({
    responsive: true,
    maintainAspectRatio: false,
    animation: false,
    interaction: { mode: "index", intersect: false },
    scales,
    plugins: { legend: { display: false }, tooltip },
  });

  // A line with its band: two invisible lines, the space between them filled.
  function withBand(side, points, index) {
    const edge = { pointRadius: 0, pointHitRadius: 0, borderWidth: 0, band: true };
    const at = (key) => points.map((p) => ({ x: p.x, y: p[key] }));
    const tone = colour(side);
    return [
      { ...edge, data: at("low"), label: side },
      { ...edge, data: at("high"), label: side,
        fill: { target: 3 * index }, backgroundColor: faint(tone) },
      { data: at("y"), label: side, side, points, borderColor: tone,
        backgroundColor: tone, borderWidth: 2.5, clip: 8, pointRadius: 3.5, pointHoverRadius: 6,
        pointStyle: side === "native" ? "circle" : "rectRot" },
    ];
  }
  function lineTooltip(unit, title) {
    return {
      filter: (item) => !item.dataset.band,
      callbacks: {
        title: (items) => (items.length ? title(items[0]) : ""),
        label(item) {
          const p = item.dataset.points[item.dataIndex];
          const spread =
            p.low === undefined ? "" : `  (${show(p.low, unit)} to ${show(p.high, unit)})`;
          return ` ${item.dataset.side}  ${show(p.y, unit)}${spread}`;
        },
      },
    };
  }
  const lines = (of) => SIDES.flatMap((side, i) => withBand(side, of[side], i));
  const good = (c) => (c.better ? `${c.better} is better` : "");

  // ---- Kinds of charts: each gives a configuration of Chart.js ----
  const KINDS = {
    curve(c) {
      const numbers = c.lines.native.every((p) => p.x !== "" && isFinite(p.x));
      const of = {};
      for (const s of SIDES)
        of[s] = c.lines[s].map((p) => ({ ...p, x: numbers ? Number(p.x) : p.x }));
      const xs = of.native.map((p) => p.x);
      const x = numbers
        ? along(xs, c.x, (v) => show(v, ""))
        : { type: "category", title: { display: true, text: c.x, color: colour("quiet") },
            ticks: { color: colour("quiet") }, grid: { display: false } };
      return {
        type: "line",
        data: { labels: numbers ? undefined : xs, datasets: lines(of) },
        options: options(
          { x, y: upwards(values(of), c.unit) },
          lineTooltip(c.unit, (item) =>
            `${c.x} ${numbers ? show(item.parsed.x, "") : item.label}`)),
      };
    },
    latency(c, choice) {
      const of = c.choices[choice].lines;
      return {
        type: "line",
        data: { labels: of.native.map((p) => p.x), datasets: lines(of) },
        options: options(
          { x: { type: "category", ticks: { color: colour("quiet") },
                 grid: { color: colour("rule") } },
            y: upwards(values(of), c.unit) },
          lineTooltip(c.unit, (item) => item.label)),
      };
    },
    runs(c) {
      return {
        type: "line",
        data: { datasets: SIDES.map((side) => ({
          label: side, side, data: c.lines[side], points: c.lines[side],
          borderColor: faint(colour(side)), backgroundColor: colour(side),
          borderWidth: 2, clip: 8, pointRadius: 4, pointHoverRadius: 6,
          pointBorderColor: colour(side),
          pointStyle: side === "native" ? "circle" : "rectRot" })) },
        options: options(
          { x: along(c.lines.native.map((p) => p.x), "round", (v) => v),
            y: upwards(values(c.lines), c.unit) },
          lineTooltip(c.unit, (item) => `round ${item.parsed.x}`)),
      };
    },
    ratios(c) {
      const tone = (row) => colour(
        { "shim better": "better", "native better": "worse" }[row.verdict] || "noise");
      const tones = c.rows.map(tone);
      // The line at 1, and room on both sides of it.
      const all = c.rows.flatMap((r) => [r.low, r.high, 1]);
      const x = axis(true, "ratio: right of 1 the shim is better", (v) => times(v));
      x.min = Math.min(...all) / 1.15;
      x.max = Math.max(...all) * 1.15;
      x.grid.color = (at) => (at.tick.value === 1 ? colour("ink") : colour("rule"));
      x.grid.lineWidth = (at) => (at.tick.value === 1 ? 1.5 : 1);
      return {
        type: "bar",
        data: {
          labels: c.rows.map((r) => r.label),
          datasets: [
            { type: "line", indexAxis: "y", showLine: false, order: 0,
              data: c.rows.map((r) => r.ratio), pointRadius: 5, pointHoverRadius: 7,
              pointBackgroundColor: tones, pointBorderColor: colour("paper"),
              pointStyle: "rectRot" },
            { order: 1, data: c.rows.map((r) => [r.low / 1.0001, r.high * 1.0001]),
              backgroundColor: tones.map((t) => t + "77"), barThickness: 6,
              borderSkipped: false, borderRadius: 3 },
          ],
        },
        options: {
          ...options(
            { x, y: { ticks: { color: colour("ink"), autoSkip: false,
                               callback(v) { return shortened(this.getLabelForValue(v)); } },
                      grid: { display: false } } },
            { filter: (item) => item.datasetIndex === 0,
              callbacks: { label: (item) => {
                const r = c.rows[item.dataIndex];
                return ` ${times(r.ratio)}  (${times(r.low)} to ${times(r.high)})  ${r.verdict}`;
              } } }),
          indexAxis: "y",
          interaction: { mode: "index", axis: "y", intersect: false },
        },
      };
    },
  };
  function shortened(label) {
    const room = window.innerWidth < 640 ? 20 : 44;
    return label.length > room ? label.slice(0, room - 1) + "…" : label;
  }

  // ---- Drawing ----
  const element = (name, text) => {
    const e = document.createElement(name);
    if (text) e.textContent = text;
    return e;
  };
  const drawn = [];
  function draw() {
    while (drawn.length) drawn.pop().destroy();
    charts.forEach((c, i) => {
      const figure = figures[i];
      const choice = figure.querySelector("select");
      const at = choice ? choice.selectedIndex : c.choices ? c.choices.length - 1 : 0;
      figure.replaceChildren();
      const caption = element("figcaption", c.title);
      if (good(c)) caption.append(element("span", good(c)));
      if (c.choices && c.choices.length > 1) caption.append(selector(c, at));
      const holder = element("div");
      holder.className = "canvas";
      if (c.kind === "ratios") holder.style.height = `${70 + 26 * c.rows.length}px`;
      const canvas = element("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${c.title}; the figures are in the table below`);
      holder.append(canvas);
      figure.append(caption, holder);
      drawn.push(new Chart(canvas, KINDS[c.kind](c, at)));
    });
  }
  function selector(c, at) {
    const list = element("select");
    list.append(...c.choices.map((x) => element("option", x.name)));
    list.selectedIndex = at;
    list.addEventListener("change", draw);
    return list;
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
